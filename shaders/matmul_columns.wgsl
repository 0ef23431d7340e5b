// Columns column … column + 3 of the row of W, k columns, that begins at `base`; beyond the last that one again.
#if VEC
fn load_w(base: u32, column: u32, k: u32) -> vec4f { return w_at((base + column) / 4u); }
#else
fn load_w(base: u32, column: u32, k: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { values[q] = w_at(base + min(column + q, k - 1u)); }
  return values;
}
#endif
