// y[M,N] = x[M,K] · W[N,K]ᵀ: parameters, bindings and loads of both kernel families. Params' end, rank, h, b describe the
// segments of the LoRA group: where each ends, and where its part of h and of B begins.
struct Params {
  m: u32, n: u32, k: u32, tiles_n: u32,
  y_offset: u32, y_stride: u32, h_stride: u32,
  has_bias: u32, has_residual: u32,
  end0: u32, end1: u32, end2: u32, end3: u32,
  rank0: u32, rank1: u32, rank2: u32, rank3: u32,
  h0: u32, h1: u32, h2: u32, h3: u32,
  b0: u32, b1: u32, b2: u32, b3: u32,
}
#params
#if VEC
#buffer x: array<vec4f>, read
#buffer bias: array<vec4f>, read
#buffer residual: array<vec4f>, read
#if Y4
#buffer y: array<vec4f>, read_write
#else
#buffer y: array<f32>, read_write
#endif
#else
#buffer x: array<f32>, read
#buffer bias: array<f32>, read
#buffer residual: array<f32>, read
#buffer y: array<f32>, read_write
#endif
#if LORA_VEC
#buffer h: array<vec4f>, read
#buffer b: array<vec4f>, read
#else
#buffer h: array<f32>, read
#buffer b: array<f32>, read
#endif
#include stored_weight BUFFER=w

// Terms 4i … 4i+3 of a row of x or W that begins at `base` and has k terms; beyond them they are 0. (Uniforms are read into
// variables first everywhere: SwiftShader would load them anew in every turn of a loop.)
#include matmul_terms

// The columns lo ≤ j < hi of h that belong to an output column, and where B's element for column j of h is: at + j.
struct LowRank { lo: u32, hi: u32, at: u32 }
fn low_rank(column: u32, end: vec4u, rank: vec4u, h_start: vec4u, b_start: vec4u) -> LowRank {
  var s = vec4u(rank.x, h_start.x, b_start.x, 0u);
  s = select(s, vec4u(rank.y, h_start.y, b_start.y, end.x), column >= end.x);
  s = select(s, vec4u(rank.z, h_start.z, b_start.z, end.y), column >= end.y);
  s = select(s, vec4u(rank.w, h_start.w, b_start.w, end.z), column >= end.z);
  return LowRank(s.y, s.y + s.x, s.z + (column - s.w) * s.x - s.y);
}
#if LORA_VEC
fn load_h(base: u32, j: u32, r: u32) -> vec4f { return h[(base + j) / 4u]; }
fn load_b(s: LowRank, j: u32) -> vec4f {
  return select(vec4f(), b[(s.at + clamp(j, s.lo, max(s.hi, 1u) - 1u)) / 4u], j >= s.lo && j < s.hi);
}
#else
fn load_h(base: u32, j: u32, r: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (j + q < r) { values[q] = h[base + j + q]; } }
  return values;
}
fn load_b(s: LowRank, j: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (j + q >= s.lo && j + q < s.hi) { values[q] = b[s.at + j + q]; } }
  return values;
}
#endif
