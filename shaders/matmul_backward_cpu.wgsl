#if BROADCAST
enable subgroups;
#endif
// dx[M,K] = dy[M,N] · W[N,K] (+ g[M,R] · A[R,K]) for software adapters: the tile of matmul_linear_cpu, with the weight's
// rows read along the output's columns.
#include matmul_backward_common

@compute @workgroup_size($LANES)
#if BROADCAST
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
#else
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
#endif
  let tile = group.x + group.y * 65535u;
  let row = (tile / p.tiles_k) * $(ROWS)u;
  if (row >= p.m) { return; }
  // Uniforms are read into variables first: SwiftShader would load them anew in every turn of a loop.
  let last = p.m - 1u;
  let n = p.n;
  let k = p.k;
  let r = p.rank;
  let a_offset = p.a_offset;
  let column = (tile % p.tiles_k) * $(4 * LANES)u + 4u * lane;
#if VEC
  let inner = min(column, k - 4u);
#else
  let inner = min(column, k - 1u);
#endif
#for i 0 ROWS
#for c 0 4
  var acc$(i)_$c = 0.0;
#endfor
#endfor
#for q 0 LOADS
#if BROADCAST
  let mine$q = min(row + lane + $(q * LANES)u, last);
#else
  let mine$q = min(row + $(q)u, last);
#endif
  let dy_base$q = p.dy_offset + mine$q * p.dy_stride;
  let g_base$q = mine$q * r;
#endfor

  for (var t = 0u; t < n; t += 4u) {
#for c 0 4
#if VEC
    let row$c = load_w((t + $(c)u) * k, inner, k);
#else
    let row$c = load_w(min(t + $(c)u, n - 1u) * k, inner, k);
#endif
#endfor
#for q 0 LOADS
    let l$q = load_dy(dy_base$q, t, n);
#endfor
    // Four terms of one column each, so that dot() sums them before an accumulator is touched.
    let v0 = vec4f(row0.x, row1.x, row2.x, row3.x);
    let v1 = vec4f(row0.y, row1.y, row2.y, row3.y);
    let v2 = vec4f(row0.z, row1.z, row2.z, row3.z);
    let v3 = vec4f(row0.w, row1.w, row2.w, row3.w);
#include matmul_multiply
  }
  // The low-rank path: more terms of the same sums.
  for (var j = 0u; j < r; j += 4u) {
#for c 0 4
    let row$c = load_a(a_offset + min(j + $(c)u, r - 1u) * k, inner, k);
#endfor
#for q 0 LOADS
    let l$q = load_g(g_base$q, j, r);
#endfor
    let v0 = vec4f(row0.x, row1.x, row2.x, row3.x);
    let v1 = vec4f(row0.y, row1.y, row2.y, row3.y);
    let v2 = vec4f(row0.z, row1.z, row2.z, row3.z);
    let v3 = vec4f(row0.w, row1.w, row2.w, row3.w);
#include matmul_multiply
  }

  let sums = array<vec4f, $ROWS>(
#for i 0 ROWS
    vec4f(acc$(i)_0, acc$(i)_1, acc$(i)_2, acc$(i)_3),
#endfor
  );
  let has_residual = p.has_residual == 1u;
  for (var i = 0u; i < $(ROWS)u; i++) {
#if BROADCAST && LANES == 4
    let at_row = row + (i ^ lane) % 4u + (i & ~3u);
#else
    let at_row = row + i;
#endif
    if (at_row > last) { continue; }
#if VEC
    if (column < k) {
      let at = (at_row * k + column) / 4u;
      var value = sums[i];
      if (has_residual) { value += residual[at]; }
#if ACCUMULATE
      value += dx[at];
#endif
      dx[at] = value;
    }
#else
    let values = sums[i];
    for (var q = 0u; q < 4u; q++) {
      if (column + q < k) {
        let at = at_row * k + column + q;
        var value = values[q];
        if (has_residual) { value += residual[at]; }
#if ACCUMULATE
        value += dx[at];
#endif
        dx[at] = value;
      }
    }
#endif
  }
}
