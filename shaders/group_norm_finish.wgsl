// Second pass, one workgroup a group of one image: joins what the chunks and channels of the group found.
// MOMENTS: means and squares around them become mean and 1 / √(variance + eps) (Chan et al. 1979). Else: pairs of sums become
// pairs of means.
#if REDUCE == subgroup
enable subgroups;
#endif
#include row_reduce
struct Params {
  columns: u32, chunks: u32, chunk_rows: u32, image_rows: u32, groups: u32, group_channels: u32, elements: f32, eps: f32,
}
#params
#buffer parts: array<f32>, read
#buffer stats: array<vec2<f32>>, read_write

// The first of the two numbers of entry e of the group; the second lies VECTOR further.
fn entry(image: u32, channel: u32, e: u32) -> u32 {
  let chunk = image * p.chunks + e / p.group_channels;
  let c = channel + e % p.group_channels;
  return (chunk * p.columns + c / $(VECTOR)u) * $(2 * VECTOR)u + c % $(VECTOR)u;
}

fn rows(e: u32) -> f32 {
  let begin = min(e / p.group_channels * p.chunk_rows, p.image_rows);
  return f32(min(p.chunk_rows, p.image_rows - begin));
}

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let image = group.y;
  let channel = group.x * p.group_channels;
  let entries = p.chunks * p.group_channels;
  let out = image * p.groups + group.x;
#if MOMENTS
  let first = parts[entry(image, channel, 0u)];
  var sum = 0.0;
  for (var e = lane; e < entries; e += $(WG)u) { sum += rows(e) * (parts[entry(image, channel, e)] - first); }
  let mean = first + reduce_sum(sum, lane) / p.elements;
  var squares = 0.0;
  for (var e = lane; e < entries; e += $(WG)u) {
    let at = entry(image, channel, e);
    let away = parts[at] - mean;
    squares += parts[at + $(VECTOR)u] + rows(e) * away * away;
  }
  let rstd = inverseSqrt(reduce_sum(squares, lane) / p.elements + p.eps);
  if (lane == 0u) { stats[out] = vec2<f32>(mean, rstd); }
#else
  var a = 0.0;
  var b = 0.0;
  for (var e = lane; e < entries; e += $(WG)u) {
    let at = entry(image, channel, e);
    a += parts[at];
    b += parts[at + $(VECTOR)u];
  }
  let first = reduce_sum(a, lane) / p.elements;
  let second = reduce_sum(b, lane) / p.elements;
  if (lane == 0u) { stats[out] = vec2<f32>(first, second); }
#endif
}
