// matmul_multiply for row0 … row3, four columns of four terms each.
    // Four terms of one column each, so that dot() sums them before an accumulator is touched.
    let v0 = vec4f(row0.x, row1.x, row2.x, row3.x);
    let v1 = vec4f(row0.y, row1.y, row2.y, row3.y);
    let v2 = vec4f(row0.z, row1.z, row2.z, row3.z);
    let v3 = vec4f(row0.w, row1.w, row2.w, row3.w);
#include matmul_multiply
