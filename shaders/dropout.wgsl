// y = x * keep / (1 - p). The keep of an element depends only on the step's seed, the salt and its index, so that the
// backward pass and a recomputed forward pass see the same mask.
struct Params { count: u32, salt: u32, threshold: u32, scale: f32 }
#params
#step
#buffer x: array<f32>, read
#buffer y: array<f32>, read_write

// The finaliser of MurmurHash3: every input bit reaches every output bit.
fn mix(v: u32) -> u32 {
  var h = v;
  h ^= h >> 16u; h *= 0x85ebca6bu;
  h ^= h >> 13u; h *= 0xc2b2ae35u;
  return h ^ (h >> 16u);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * 64u + lane;
  if (i >= p.count) { return; }
  let random = mix(i ^ mix(step.seed ^ mix(p.salt)));
  y[i] = select(x[i] * p.scale, 0.0, random < p.threshold);
}
