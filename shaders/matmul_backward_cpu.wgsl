#if BROADCAST
enable subgroups;
#endif
// dx[M,K] = dy[M,N] · W[N,K] (+ g[M,R] · A[R,K]) for software adapters: the tile of matmul_linear_cpu, with the weight's
// rows read along the output's columns.
#include matmul_backward_common

#include matmul_lanes_main
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
#include matmul_lanes_zero
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
#include matmul_turned
  }
  // The low-rank path: more terms of the same sums.
  for (var j = 0u; j < r; j += 4u) {
#for c 0 4
    let row$c = load_a(a_offset + min(j + $(c)u, r - 1u) * k, inner, k);
#endfor
#for q 0 LOADS
    let l$q = load_g(g_base$q, j, r);
#endfor
#include matmul_turned
  }

#include matmul_lanes_sums
  let has_residual = p.has_residual == 1u;
  for (var i = 0u; i < $(ROWS)u; i++) {
#include matmul_lanes_row
    if (at_row > last) { continue; }
    let begin = at_row * k;
    let sum = sums[i];
#include matmul_dx WIDTH=k
  }
}
