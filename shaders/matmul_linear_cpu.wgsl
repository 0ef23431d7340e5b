// y[M,N] = x[M,K] · W[N,K]ᵀ for software adapters: a lane holds one output column and ROWS rows of it; the row operand is the
// same for the whole workgroup (one uniform load), and four products are summed before an accumulator is touched.
struct Params {
  m: u32, n: u32, k: u32, tiles_n: u32,
  w_offset: u32, y_offset: u32, y_stride: u32, h_stride: u32,
  has_bias: u32, has_residual: u32, accumulate: u32, scaled: u32,
  end0: u32, end1: u32, end2: u32, end3: u32,
  rank0: u32, rank1: u32, rank2: u32, rank3: u32,
  h0: u32, h1: u32, h2: u32, h3: u32,
  b0: u32, b1: u32, b2: u32, b3: u32,
  scale0: f32, scale1: f32, scale2: f32, scale3: f32,
}
#params
#step
#if VEC
#buffer x: array<vec4f>, read
#if WEIGHT == f32
#buffer w: array<vec4f>, read
#else
#buffer w: array<vec2u>, read
#endif
#else
#buffer x: array<f32>, read
#if WEIGHT == f32
#buffer w: array<f32>, read
#else
#buffer w: array<u32>, read
#endif
#endif
#buffer bias: array<f32>, read
#buffer residual: array<f32>, read
#if LORA_VEC
#buffer h: array<vec4f>, read
#buffer b: array<vec4f>, read
#else
#buffer h: array<f32>, read
#buffer b: array<f32>, read
#endif
#buffer y: array<f32>, read_write

#if VEC
#if WEIGHT == f32
fn weight4(e: u32) -> vec4f { return w[e]; }
#else
fn weight4(e: u32) -> vec4f {
  let pair = w[e];
#if WEIGHT == bf16
  return bitcast<vec4f>(vec4u(pair.x << 16u, pair.x & 0xffff0000u, pair.y << 16u, pair.y & 0xffff0000u));
#else
  return vec4f(unpack2x16float(pair.x), unpack2x16float(pair.y));
#endif
}
#endif
#else
#include matmul_weight
#endif

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tile = group.x + group.y * 65535u;
  let row = (tile / p.tiles_n) * $(ROWS)u;
  let first = (tile % p.tiles_n) * $(LANES)u;
  if (row >= p.m) { return; }
  let column = min(first + lane, p.n - 1u);
  let last = p.m - 1u;
#if VEC
  let steps = p.k / 4u;
  let base = p.w_offset / 4u + column * steps;
#else
  let steps = p.k;
  let base = p.w_offset + column * steps;
#endif
#for i 0 ROWS
  let row$i = min(row + $(i)u, last);
  let x$i = row$i * steps;
  var acc$i = 0.0;
#endfor
  for (var k = 0u; k < steps; k++) {
#if VEC
    let v = weight4(base + k);
#for i 0 ROWS
    acc$i += dot(x[x$i + k], v);
#endfor
#else
    let v = weight(base + k);
#for i 0 ROWS
    acc$i += x[x$i + k] * v;
#endfor
#endif
  }

  // The low-rank path: more steps of the same tile, segment by segment, so that h stays uniform over the workgroup.
  let end = array<u32, 4>(p.end0, p.end1, p.end2, p.end3);
  let rank = array<u32, 4>(p.rank0, p.rank1, p.rank2, p.rank3);
  let h_start = array<u32, 4>(p.h0, p.h1, p.h2, p.h3);
  let b_start = array<u32, 4>(p.b0, p.b1, p.b2, p.b3);
  let scales = array<f32, 4>(p.scale0, p.scale1, p.scale2, p.scale3);
  var scale = 1.0;
  var start = 0u;
  for (var s = 0u; s < 4u; s++) {
    let stop = end[s];
    let inside = column >= start && column < stop;
    scale = select(scale, scales[s], inside);
    if (rank[s] > 0u && start < first + $(LANES)u && stop > first) {
      let mask = select(0.0, 1.0, inside);
      let offset = b_start[s] + (clamp(column, start, stop - 1u) - start) * rank[s];
#if LORA_VEC
      for (var j = 0u; j < rank[s] / 4u; j++) {
        let v = b[offset / 4u + j] * mask;
#for i 0 ROWS
        acc$i += dot(h[(row$i * p.h_stride + h_start[s]) / 4u + j], v);
#endfor
      }
#else
      for (var j = 0u; j < rank[s]; j++) {
        let v = b[offset + j] * mask;
#for i 0 ROWS
        acc$i += h[row$i * p.h_stride + h_start[s] + j] * v;
#endfor
      }
#endif
    }
    start = stop;
  }

  if (first + lane >= p.n) { return; }
  scale = select(1.0, scale * step.strength, p.scaled == 1u);
  var bias_value = 0.0;
  if (p.has_bias == 1u) { bias_value = bias[column]; }
#for i 0 ROWS
  if (row + $(i)u < p.m) {
    var value = acc$i * scale + bias_value;
    let at = p.y_offset + (row + $(i)u) * p.y_stride + column;
    if (p.has_residual == 1u) { value += residual[at]; }
    if (p.accumulate == 1u) { value += y[at]; }
    y[at] = value;
  }
#endfor
}
