// Last pass: y = act(x̂ · weight + bias), x̂ = (x - mean) · rstd.
#include group_norm_common
#if ACTIVATION == silu
#include activation
#endif
#buffer x: array<V>, read
#include stored_weight BUFFER=weight
#include stored_weight BUFFER=bias
#buffer stats: array<vec2<f32>>, read
#buffer y: array<V>, read_write
#include group_norm_pairs

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * $(WG)u + lane;
  if (i >= p.count) { return; }
  let chunk = chunk_of(i);
  let stat = stats_of(chunk.image, chunk.column);
  let scale = stat.y * weight_at(chunk.column);
  let shift = bias_at(chunk.column);
  for (var row = chunk.begin; row < chunk.end; row++) {
    let here = row * p.columns + chunk.column;
    let z = (x[here] - stat.x) * scale + shift;
#if ACTIVATION == silu
    y[here] = activate(z);
#else
    y[here] = z;
#endif
  }
}
