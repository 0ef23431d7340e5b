// Frozen weights as they are stored, in the binding `w`. bf16 and f16 lie two to a u32; both unpack exactly.
// With VEC the binding holds four weights an element: weight4(e) is elements 4e … 4e+3; else weight(e) is element e.
#if VEC
#if WEIGHT == f32
#buffer w: array<vec4f>, read
fn weight4(e: u32) -> vec4f { return w[e]; }
#else
#buffer w: array<vec2u>, read
fn weight4(e: u32) -> vec4f {
  let pair = w[e];
#if WEIGHT == bf16
  return bitcast<vec4f>(vec4u(pair.x << 16u, pair.x & 0xffff0000u, pair.y << 16u, pair.y & 0xffff0000u));
#else
  return vec4f(unpack2x16float(pair.x), unpack2x16float(pair.y));
#endif
}
#endif
#elif WEIGHT == f32
#buffer w: array<f32>, read
fn weight(e: u32) -> f32 { return w[e]; }
#else
#buffer w: array<u32>, read
fn weight(e: u32) -> f32 {
  let pair = w[e >> 1u];
#if WEIGHT == bf16
  return bitcast<f32>(select(pair << 16u, pair & 0xffff0000u, (e & 1u) == 1u));
#else
  let both = unpack2x16float(pair);
  return select(both.x, both.y, (e & 1u) == 1u);
#endif
}
#endif
