// Terms 4i … 4i+3 of a row of x or W that begins at `base` and has k of them; beyond the last they are 0.
#if VEC
fn load_x(base: u32, i: u32, k: u32) -> vec4f { return x[base + i]; }
fn load_w(base: u32, i: u32, k: u32) -> vec4f { return w_at(base + i); }
#else
fn load_x(base: u32, i: u32, k: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (4u * i + q < k) { values[q] = x[base + 4u * i + q]; } }
  return values;
}
fn load_w(base: u32, i: u32, k: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (4u * i + q < k) { values[q] = w_at(base + 4u * i + q); } }
  return values;
}
#endif
