// Sums and maxima over the $WG lanes of a workgroup, the same value in every lane and the same order of additions every time.
// REDUCE is `subgroup` only where the whole workgroup is one subgroup.
#if REDUCE == subgroup
fn reduce_sum(value: f32, lane: u32) -> f32 {
  return subgroupAdd(value);
}
fn reduce_max(value: f32, lane: u32) -> f32 {
  return subgroupMax(value);
}
#else
var<workgroup> reduce_scratch: array<f32, $WG>;

fn reduce_sum(value: f32, lane: u32) -> f32 {
  reduce_scratch[lane] = value;
  workgroupBarrier();
  for (var half = $(WG / 2)u; half > 0u; half /= 2u) {
    if (lane < half) {
      reduce_scratch[lane] += reduce_scratch[lane + half];
    }
    workgroupBarrier();
  }
  let total = reduce_scratch[0];
  workgroupBarrier();
  return total;
}

fn reduce_max(value: f32, lane: u32) -> f32 {
  reduce_scratch[lane] = value;
  workgroupBarrier();
  for (var half = $(WG / 2)u; half > 0u; half /= 2u) {
    if (lane < half) {
      reduce_scratch[lane] = max(reduce_scratch[lane], reduce_scratch[lane + half]);
    }
    workgroupBarrier();
  }
  let most = reduce_scratch[0];
  workgroupBarrier();
  return most;
}
#endif
