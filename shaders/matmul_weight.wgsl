// Frozen weights as they are stored: flat element e of `w`, one to four elements as f32. bf16 and f16 lie two to a u32.
#if WEIGHT == f32
fn weight(e: u32) -> f32 { return w[e]; }
#else
fn unpack(pair: u32) -> vec2f {
#if WEIGHT == bf16
  return vec2f(bitcast<f32>(pair << 16u), bitcast<f32>(pair & 0xffff0000u));
#else
  return unpack2x16float(pair);
#endif
}
fn weight(e: u32) -> f32 {
  let both = unpack(w[e >> 1u]);
  return select(both.x, both.y, (e & 1u) == 1u);
}
#endif
