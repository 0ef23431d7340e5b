// y[M,N] = x[M,K] · W[N,K]ᵀ for graphics cards and at most ROWS rows, as generation asks: the weights are read once and that is
// all the time goes to. 32 neighbouring invocations read neighbouring vec4 of one row of W and share its sums.
#include matmul_linear_common

var<workgroup> sums: array<f32, $(256 * ROWS)>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let tile = group.x + group.y * 65535u;
  let first = tile * 8u;
  if (first >= p.n) { return; }
  let lane = index % 32u;
  let column = first + index / 32u;
  let inner = min(column, p.n - 1u);
  let steps = (p.k + 3u) / 4u;
#if VEC
  let stride = p.k / 4u;
#else
  let stride = p.k;
#endif
#for i 0 ROWS
  var acc$i = 0.0;
  let row$i = min($(i)u, p.m - 1u);
#endfor
  for (var i = lane; i < steps; i += 32u) {
    let w_terms = load_w(inner * stride, i, p.k);
#for i 0 ROWS
    acc$i += dot(load_x(row$i * stride, i, p.k), w_terms);
#endfor
  }
  let s = low_rank(inner, vec4u(p.end0, p.end1, p.end2, p.end3), vec4u(p.rank0, p.rank1, p.rank2, p.rank3),
    vec4u(p.h0, p.h1, p.h2, p.h3), vec4u(p.b0, p.b1, p.b2, p.b3));
  for (var j = s.lo + 4u * lane; j < s.hi; j += 128u) {
    let b_terms = load_b(s, j);
#for i 0 ROWS
    acc$i += dot(load_h(row$i * p.h_stride, j, p.h_stride), b_terms);
#endfor
  }
#for i 0 ROWS
  sums[index * $(ROWS)u + $(i)u] = acc$i;
#endfor
  for (var half = 16u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
#for i 0 ROWS
      sums[index * $(ROWS)u + $(i)u] += sums[(index + half) * $(ROWS)u + $(i)u];
#endfor
    }
  }
  workgroupBarrier();
  if (lane >= p.m || lane >= $(ROWS)u || column >= p.n) { return; }
  let at = p.y_offset + lane * p.y_stride + column;
  var value = sums[(index - lane) * $(ROWS)u + lane];
#if VEC
  if (p.has_bias == 1u) { value += bias[column / 4u][column % 4u]; }
  if (p.has_residual == 1u) { value += residual[at / 4u][at % 4u]; }
#else
  if (p.has_bias == 1u) { value += bias[column]; }
  if (p.has_residual == 1u) { value += residual[at]; }
#endif
#if ACCUMULATE
  value += y[at];
#endif
  y[at] = value;
}
