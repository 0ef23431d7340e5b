// A chunk of rows of scores becomes probabilities in place: softmax(scale · s) over the keys of the row's range, 0 outside;
// one workgroup a row. lse is the log-sum-exp, and 1e30 for a row that sees nothing.
#if REDUCE == subgroup
enable subgroups;
#endif
#include row_reduce
// first: where this chunk's rows begin in key_ranges and lse
struct Params { rows: u32, keys: u32, first: u32, scale: f32 }
#params
#buffer scores: array<f32>, read_write
#buffer key_ranges: array<vec2<u32>>, read
#buffer lse: array<f32>, read_write

const LOWEST = -1e30;

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * 65535u;
  if (row >= p.rows) { return; }
  let range = key_ranges[p.first + row];
  let base = row * p.keys;
  let end = min(range.y, p.keys);
  var most = LOWEST;
  for (var i = range.x + lane; i < end; i += $(WG)u) { most = max(most, p.scale * scores[base + i]); }
  let row_most = reduce_max(most, lane);
  var sum = 0.0;
  for (var i = lane; i < p.keys; i += $(WG)u) {
    let seen = i >= range.x && i < end;
    let value = select(0.0, exp(p.scale * scores[base + i] - row_most), seen);
    scores[base + i] = value;
    sum += value;
  }
  let row_sum = reduce_sum(sum, lane);
  let inverse = select(0.0, 1.0 / row_sum, row_sum > 0.0);
  for (var i = lane; i < p.keys; i += $(WG)u) { scores[base + i] *= inverse; }
  if (lane == 0u) { lse[p.first + row] = select(-LOWEST, row_most + log(max(row_sum, 1e-30)), row_sum > 0.0); }
}
