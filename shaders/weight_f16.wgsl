// IEEE halves, two to a u32, the even one in the low half; see stored_weight.
#if VECTOR == 4
#buffer $BUFFER: array<vec2u>, read
fn $(BUFFER)_$READ(i: u32) -> vec4f {
  let pair = $BUFFER[i];
  return vec4f(unpack2x16float(pair.x), unpack2x16float(pair.y));
}
#else
#buffer $BUFFER: array<u32>, read
fn $(BUFFER)_$READ(i: u32) -> f32 {
  let both = unpack2x16float($BUFFER[i >> 1u]);
  return select(both.x, both.y, (i & 1u) == 1u);
}
#endif
