// bfloat16, two to a u32, the even one in the low half; see stored_weight.
#if VECTOR == 4
#buffer $BUFFER: array<vec2u>, read
fn $(BUFFER)_$READ(i: u32) -> vec4f {
  let pair = $BUFFER[i];
  return bitcast<vec4f>(vec4u(pair.x << 16u, pair.x & 0xffff0000u, pair.y << 16u, pair.y & 0xffff0000u));
}
#else
#buffer $BUFFER: array<u32>, read
fn $(BUFFER)_$READ(i: u32) -> f32 {
  let pair = $BUFFER[i >> 1u];
  return bitcast<f32>(select(pair << 16u, pair & 0xffff0000u, (i & 1u) == 1u));
}
#endif
