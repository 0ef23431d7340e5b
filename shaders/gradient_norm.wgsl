// Σ g² in two passes. PASS 0: every workgroup sums its share into sums[2·group], and counts non-finite elements into
// sums[2·group + 1]. PASS 1: one workgroup writes state = (norm, clip factor, 1 where something is not finite).
#if REDUCE == subgroup
enable subgroups;
#endif
#include vector
#include row_reduce
struct Params { count: u32, groups: u32, max_norm: f32 }
#params
#if PASS == 0
#buffer x: array<V>, read
#buffer sums: array<f32>, read_write
#else
#buffer sums: array<f32>, read
#buffer state: array<f32>, read_write
#endif

// By the exponent's bits: WGSL may assume that floats are finite.
fn is_not_finite(value: f32) -> bool {
  return (bitcast<u32>(value) & 0x7f800000u) == 0x7f800000u;
}

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  var bad = 0.0;
#if PASS == 0
  for (var i = group.x * $(WG)u + lane; i < p.count; i += p.groups * $(WG)u) {
    let squares = total(x[i] * x[i]);
    if (is_not_finite(squares)) { bad = 1.0; } else { sum += squares; }
  }
  let all = reduce_sum(sum, lane);
  let any_bad = reduce_max(bad, lane);
  if (lane == 0u) {
    sums[2u * group.x] = all;
    sums[2u * group.x + 1u] = any_bad;
  }
#else
  for (var i = lane; i < p.groups; i += $(WG)u) {
    sum += sums[2u * i];
    bad = max(bad, sums[2u * i + 1u]);
  }
  let all = reduce_sum(sum, lane);
  let any_bad = reduce_max(bad, lane);
  if (lane == 0u) {
    let norm = sqrt(all);
    state[0] = norm;
    state[1] = select(1.0, min(1.0, p.max_norm / (norm + 1e-6)), p.max_norm > 0.0);
    state[2] = select(any_bad, 1.0, is_not_finite(all));
  }
#endif
}
