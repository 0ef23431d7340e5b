// y[c] = sum over rows of x[t, c] * z[t, c]; added to y in an accumulated step.
struct Params { rows: u32, columns: u32 }
#params
#if GRADIENT
#step
#endif
#buffer x: array<f32>, read
#if PRODUCT
#buffer z: array<f32>, read
#endif
#buffer y: array<f32>, read_write

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let c = id.x;
  if (c >= p.columns) { return; }
  var sum = 0.0;
  for (var t = 0u; t < p.rows; t += 1u) {
#if PRODUCT
    sum += x[t * p.columns + c] * z[t * p.columns + c];
#else
    sum += x[t * p.columns + c];
#endif
  }
#if GRADIENT
  y[c] = select(sum, y[c] + sum, step.accumulate == 1u);
#else
  y[c] = sum;
#endif
}
