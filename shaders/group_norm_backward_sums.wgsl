// Of every chunk and channel Σ g and Σ g x̂.
#include group_norm_gradient
#buffer parts: array<V>, read_write

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * $(WG)u + lane;
  if (i >= p.count) { return; }
  let chunk = chunk_of(i);
  let channels = channels_of(chunk);
  var sum = V();
  var along = V();
  for (var row = chunk.begin; row < chunk.end; row++) {
    let at = row * p.columns + chunk.column;
    let normal = (x[at] - channels.mean) * channels.rstd;
    let g = gradient(channels, normal, dy[at]);
    sum += g;
    along += g * normal;
  }
  parts[2u * i] = sum;
  parts[2u * i + 1u] = along;
}
