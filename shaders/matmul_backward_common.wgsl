// dx[M,K] = dy[M,N] · W[N,K] + g[M,R] · A[R,K]: parameters, bindings and loads of both kernel families.
struct Params {
  m: u32, n: u32, k: u32, tiles_k: u32,
  dy_offset: u32, dy_stride: u32, rank: u32, a_offset: u32, has_residual: u32,
}
#params
#if VEC
#buffer dy: array<vec4f>, read
#buffer residual: array<vec4f>, read
#buffer dx: array<vec4f>, read_write
#buffer a: array<vec4f>, read
#else
#buffer dy: array<f32>, read
#buffer residual: array<f32>, read
#buffer dx: array<f32>, read_write
#buffer a: array<f32>, read
#endif
#if LORA_VEC
#buffer g: array<vec4f>, read
#else
#buffer g: array<f32>, read
#endif
#include stored_weight BUFFER=w

// Terms t … t+3 of a row of dy or g, and four columns of one row of W or A.
#if VEC
fn load_dy(base: u32, t: u32, n: u32) -> vec4f { return dy[(base + t) / 4u]; }
fn load_a(base: u32, column: u32, k: u32) -> vec4f { return a[(base + column) / 4u]; }
#else
fn load_dy(base: u32, t: u32, n: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (t + q < n) { values[q] = dy[base + t + q]; } }
  return values;
}
fn load_a(base: u32, column: u32, k: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { values[q] = a[base + min(column + q, k - 1u)]; }
  return values;
}
#endif
#include matmul_columns
#if LORA_VEC
fn load_g(base: u32, j: u32, r: u32) -> vec4f { return g[(base + j) / 4u]; }
#else
fn load_g(base: u32, j: u32, r: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (j + q < r) { values[q] = g[base + j + q]; } }
  return values;
}
#endif
