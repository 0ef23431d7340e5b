// y[rows[t], y_offset + c] = x[t, x_offset + c]; strides, offsets and width in units of V.
#include vector
struct Params { tokens: u32, width: u32, x_stride: u32, x_offset: u32, y_stride: u32, y_offset: u32 }
#params
#buffer x: array<V>, read
#buffer rows: array<u32>, read
#buffer y: array<V>, read_write

@compute @workgroup_size($WG)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  if (id.x >= p.width) { return; }
  for (var token = group.y; token < p.tokens; token += groups.y) {
    y[rows[token] * p.y_stride + p.y_offset + id.x] = x[token * p.x_stride + p.x_offset + id.x];
  }
}
