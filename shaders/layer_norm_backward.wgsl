// dx = rstd (g - mean(g) - x̂ mean(g x̂)) with g = dy · weight (+ what flows past the norm), one workgroup a row.
#if REDUCE == subgroup
enable subgroups;
#endif
#include vector
#include row_reduce
struct Params { rows: u32, width: u32, columns: f32, eps: f32 }
#params
#buffer dy: array<V>, read
#buffer x: array<V>, read
#include stored_weight BUFFER=weight
#buffer stats: array<vec2<f32>>, read
#buffer dx: array<V>, read_write
#if ADD
#buffer add: array<V>, read
#endif

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * 65535u;
  if (row >= p.rows) { return; }
  let base = row * p.width;
  let stat = stats[row];
  var sum = 0.0;
  var along = 0.0;
  for (var i = lane; i < p.width; i += $(WG)u) {
    let g = dy[base + i] * weight_at(i);
    sum += total(g);
    along += total(g * (x[base + i] - stat.x));
  }
  let mean = reduce_sum(sum, lane) / p.columns;
  let slope = reduce_sum(along, lane) / p.columns * stat.y * stat.y;
  for (var i = lane; i < p.width; i += $(WG)u) {
    let g = dy[base + i] * weight_at(i);
#if ADD
    dx[base + i] = add[base + i] + stat.y * (g - mean - (x[base + i] - stat.x) * slope);
#else
    dx[base + i] = stat.y * (g - mean - (x[base + i] - stat.x) * slope);
#endif
  }
}
