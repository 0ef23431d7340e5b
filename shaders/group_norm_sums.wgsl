// First pass of group norm: of every chunk and channel the mean and the sum of squares around it. Both are taken from the
// chunk's first element on, so that channels far from zero lose nothing.
#include group_norm_common
#buffer x: array<V>, read
#buffer parts: array<V>, read_write

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * $(WG)u + lane;
  if (i >= p.count) { return; }
  let chunk = chunk_of(i);
  let first = x[chunk.begin * p.columns + chunk.column];
  var sum = V();
  var squares = V();
  for (var row = chunk.begin; row < chunk.end; row++) {
    let value = x[row * p.columns + chunk.column] - first;
    sum += value;
    squares += value * value;
  }
  let mean = sum / f32(max(chunk.end - chunk.begin, 1u));
  parts[2u * i] = first + mean;
  parts[2u * i + 1u] = max(squares - sum * mean, V());
}
