// dx = rstd (g - mean(g) - x̂ mean(g x̂)) (+ what flows past the norm); `means` holds the two means of each group.
#include group_norm_gradient
#buffer means: array<vec2<f32>>, read
#buffer dx: array<V>, read_write
#if ADD
#buffer add: array<V>, read
#endif

fn means_of(image: u32, column: u32) -> Pair {
#if VECTOR == 4
#for j 0 4
  let mean$j = means[group_at(image, 4u * column + $(j)u)];
#endfor
  return Pair(vec4<f32>(mean0.x, mean1.x, mean2.x, mean3.x), vec4<f32>(mean0.y, mean1.y, mean2.y, mean3.y));
#else
  let mean = means[group_at(image, column)];
  return Pair(mean.x, mean.y);
#endif
}

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * $(WG)u + lane;
  if (i >= p.count) { return; }
  let chunk = chunk_of(i);
  let channels = channels_of(chunk);
  let mean = means_of(chunk.image, chunk.column);
  for (var row = chunk.begin; row < chunk.end; row++) {
    let at = row * p.columns + chunk.column;
    let normal = (x[at] - channels.mean) * channels.rstd;
    let result = channels.rstd * (gradient(channels, normal, dy[at]) - mean.x - normal * mean.y);
#if ADD
    dx[at] = add[at] + result;
#else
    dx[at] = result;
#endif
  }
}
