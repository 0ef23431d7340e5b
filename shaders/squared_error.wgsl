// loss = weight · Σ (x - target)² of each row, and dx = loss_scale · 2 · weight (x - target). A row has an invocation of its
// own, or (WIDE) a workgroup.
#if WIDE
#if REDUCE == subgroup
enable subgroups;
#endif
#endif
#include vector
#if WIDE
#include row_reduce
#endif
struct Params { rows: u32, width: u32 }
#params
#if GRADIENT
#step
#endif
#buffer x: array<V>, read
#buffer goal: array<V>, read
#buffer weight: array<f32>, read
#buffer loss: array<f32>, read_write
#if GRADIENT
#buffer dx: array<V>, read_write
#endif

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
#if WIDE
  let row = group.x + group.y * 65535u;
  let first = lane;
  const STRIDE = $(WG)u;
#else
  let row = (group.x + group.y * 65535u) * $(WG)u + lane;
  let first = 0u;
  const STRIDE = 1u;
#endif
  if (row >= p.rows) { return; }
  let base = row * p.width;
  let row_weight = weight[row];
  var sum = 0.0;
  for (var i = first; i < p.width; i += STRIDE) {
    let away = x[base + i] - goal[base + i];
    sum += total(away * away);
#if GRADIENT
    dx[base + i] = away * (2.0 * row_weight * step.loss_scale);
#endif
  }
#if WIDE
  sum = reduce_sum(sum, lane);
  if (lane == 0u) { loss[row] = row_weight * sum; }
#else
  loss[row] = row_weight * sum;
#endif
}
