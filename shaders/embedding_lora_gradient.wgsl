// dA[j, v] = Σ g[t, j] over the rows t with ids[t] = v, added to dA in an accumulated step. An invocation has one v and four
// ranks and goes through all rows in their order, so that nothing is added to one place by two and sums are the same each time;
// all of a workgroup read the same id and the same g.
struct Params { rows: u32, rank: u32, vocabulary: u32 }
#params
#step
#if VECTOR == 4
#buffer g: array<vec4f>, read
#else
#buffer g: array<f32>, read
#endif
#buffer ids: array<u32>, read
#buffer da: array<f32>, read_write

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let v = group.x * 64u + lane;
  let first = group.y * 4u;
  let rank = p.rank;
  let rows = p.rows;
  var sum = vec4f();
  for (var t = 0u; t < rows; t++) {
#if VECTOR == 4
    let value = g[(t * rank + first) / 4u];
#else
    var value = vec4f();
    for (var q = 0u; q < 4u; q++) { if (first + q < rank) { value[q] = g[t * rank + first + q]; } }
#endif
    sum += select(vec4f(), value, ids[t] == v);
  }
  if (v >= p.vocabulary) { return; }
  for (var q = 0u; q < 4u && first + q < rank; q++) {
    let at = (first + q) * p.vocabulary + v;
    da[at] = select(sum[q], da[at] + sum[q], step.accumulate == 1u);
  }
}
