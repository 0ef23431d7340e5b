// A frozen weight as it is stored (WEIGHT: f32, bf16 or f16) read as V, which is f32 or vec4<f32>. bf16 and f16 lie two to a
// u32, the even index in the low half. Read `weight[weight_index(i)]` and give it to `stored_weight` with the same i.
#if WEIGHT == f32
alias StoredWeight = V;
fn weight_index(i: u32) -> u32 { return i; }
fn stored_weight(raw: StoredWeight, i: u32) -> V { return raw; }
#elif VECTOR == 4
alias StoredWeight = vec2<u32>;
fn weight_index(i: u32) -> u32 { return i; }
fn stored_weight(raw: StoredWeight, i: u32) -> V {
#if WEIGHT == bf16
  return bitcast<vec4<f32>>(vec4<u32>(raw.x << 16u, raw.x & 0xffff0000u, raw.y << 16u, raw.y & 0xffff0000u));
#else
  return vec4<f32>(unpack2x16float(raw.x), unpack2x16float(raw.y));
#endif
}
#else
alias StoredWeight = u32;
fn weight_index(i: u32) -> u32 { return i >> 1u; }
fn stored_weight(raw: StoredWeight, i: u32) -> V {
  let half = raw >> ((i & 1u) * 16u);
#if WEIGHT == bf16
  return bitcast<f32>(half << 16u);
#else
  return unpack2x16float(half).x;
#endif
}
#endif
