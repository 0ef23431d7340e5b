// h[t, j] = scale · strength · A[j, ids[t]]: the rows that LoRA's A gives for an embedding's ids.
struct Params { count: u32, rank: u32, vocabulary: u32, scale: f32 }
#params
#step
#buffer a: array<f32>, read
#buffer ids: array<u32>, read
#buffer h: array<f32>, read_write

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * 64u + lane;
  if (i >= p.count) { return; }
  h[i] = a[i % p.rank * p.vocabulary + min(ids[i / p.rank], p.vocabulary - 1u)] * (p.scale * step.strength);
}
