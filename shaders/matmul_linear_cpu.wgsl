#if BROADCAST
enable subgroups;
#endif
// y[M,N] = x[M,K] · W[N,K]ᵀ for software adapters. One subgroup a workgroup, ROWS rows of the output, four neighbouring
// columns a lane. A load costs dozens of multiply-adds there: each row's four values are loaded by one lane and handed to
// the others (BROADCAST; without subgroups each lane loads them), and an accumulator is touched once for every four terms.
// LoRA's h · Bᵀ is more steps of the same loop.
#include matmul_linear_common

#include matmul_lanes_main
  let tile = group.x + group.y * 65535u;
  let row = (tile / p.tiles_n) * $(ROWS)u;
  let first = (tile % p.tiles_n) * $(4 * LANES)u;
  if (row >= p.m) { return; }
  let last = p.m - 1u;
  let n = p.n;
  let k = p.k;
  let r = p.h_stride;
  let steps = (k + 3u) / 4u;
#if VEC
  let stride = k / 4u;
#else
  let stride = k;
#endif
  let column = first + 4u * lane;
#for c 0 4
#if VEC
  let column$c = min(column, n - 4u) + $(c)u;
#else
  let column$c = min(column + $(c)u, n - 1u);
#endif
  let w_base$c = column$c * stride;
#endfor
#include matmul_lanes_zero
#for q 0 LOADS
#if BROADCAST
  let row$q = min(row + lane + $(q * LANES)u, last);
#else
  let row$q = min(row + $(q)u, last);
#endif
  let x_base$q = row$q * stride;
  let h_base$q = row$q * r;
#endfor

  for (var i = 0u; i < steps; i++) {
#for c 0 4
    let v$c = load_w(w_base$c, i, k);
#endfor
#for q 0 LOADS
    let l$q = load_x(x_base$q, i, k);
#endfor
#include matmul_multiply
  }

  // The low-rank path: the columns of h that any column of the tile needs; each column takes its own part of them.
  let end = vec4u(p.end0, p.end1, p.end2, p.end3);
  let rank = vec4u(p.rank0, p.rank1, p.rank2, p.rank3);
  let h_start = vec4u(p.h0, p.h1, p.h2, p.h3);
  let b_start = vec4u(p.b0, p.b1, p.b2, p.b3);
#for c 0 4
#if !LORA_VEC || c == 0
  let s$c = low_rank(column$c, end, rank, h_start, b_start);
#else
  let s$c = LowRank(s0.lo, s0.hi, s0.at + $(c)u * (s0.hi - s0.lo));
#endif
#endfor
  let h_first = low_rank(first, end, rank, h_start, b_start).lo;
  let h_end = low_rank(min(first + $(4 * LANES)u, n) - 1u, end, rank, h_start, b_start).hi;
  for (var j = h_first; j < h_end; j += 4u) {
#for c 0 4
    let v$c = load_b(s$c, j);
#endfor
#for q 0 LOADS
    let l$q = load_h(h_base$q, j, r);
#endfor
#include matmul_multiply
  }

#include matmul_lanes_sums
  let y_offset = p.y_offset;
  let y_stride = p.y_stride;
  let has_bias = p.has_bias == 1u;
  let has_residual = p.has_residual == 1u;
  for (var i = 0u; i < $(ROWS)u; i++) {
#include matmul_lanes_row
    if (at_row > last) { continue; }
#if VEC
    if (column < n) {
      let at = (y_offset + at_row * y_stride + column) / 4u;
      var value = sums[i];
      if (has_bias) { value += bias[column / 4u]; }
      if (has_residual) { value += residual[at]; }
#if ACCUMULATE
      value += y[at];
#endif
      y[at] = value;
    }
#else
    let values = sums[i];
    for (var q = 0u; q < 4u; q++) {
      let inner = column + q;
      if (inner < n) {
        let at = y_offset + at_row * y_stride + inner;
        var value = values[q];
        if (has_bias) { value += bias[inner]; }
        if (has_residual) { value += residual[at]; }
#if ACCUMULATE
        value += y[at];
#endif
        y[at] = value;
      }
    }
#endif
  }
}
