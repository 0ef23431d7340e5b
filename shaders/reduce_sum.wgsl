// out[index] = Σ x, by one workgroup, in the same order every time. ACCUMULATE adds to what is there where step.accumulate says so.
#if REDUCE == subgroup
enable subgroups;
#endif
#include row_reduce
struct Params { count: u32, index: u32 }
#params
#if ACCUMULATE
#step
#endif
#buffer x: array<f32>, read
#buffer y: array<f32>, read_write

@compute @workgroup_size($WG)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < p.count; i += $(WG)u) { sum += x[i]; }
  let all = reduce_sum(sum, lane);
  if (lane == 0u) {
#if ACCUMULATE
    y[p.index] = select(0.0, y[p.index], step.accumulate != 0u) + all;
#else
    y[p.index] = all;
#endif
  }
}
