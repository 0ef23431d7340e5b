// Past the end of a head there are zeros.
fn tail(c: u32, v: vec4<f32>) -> vec4<f32> {
  return select(vec4<f32>(), v, vec4<u32>(0u, 1u, 2u, 3u) + 4u * c < vec4<u32>($(HEAD_DIM)u));
}
