// dx = rstd·(w·dy) − x·rstd³/D·Σ(w·dy·x) (+ what flows past the norm through the residual), one workgroup a row.
#if REDUCE == subgroup
enable subgroups;
#endif
#include vector
#include row_reduce
struct Params { rows: u32, width: u32, columns: f32, eps: f32, offset: f32 }
#params
#buffer x: array<V>, read
#include stored_weight BUFFER=weight
#buffer dy: array<V>, read
#buffer dx: array<V>, read_write
#if ADD == separate
#buffer add: array<V>, read
#endif

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * 65535u;
  if (row >= p.rows) { return; }
  let base = row * p.width;
  var squares = 0.0;
  var projection = 0.0;
  for (var i = lane; i < p.width; i += $(WG)u) {
    let value = x[base + i];
    squares += total(value * value);
    projection += total(value * dy[base + i] * (weight_at(i) + p.offset));
  }
  let rstd = inverseSqrt(reduce_sum(squares, lane) / p.columns + p.eps);
  let along = reduce_sum(projection, lane) / p.columns * rstd * rstd;
  for (var i = lane; i < p.width; i += $(WG)u) {
    let scaled = dy[base + i] * (weight_at(i) + p.offset);
    var result = rstd * (scaled - x[base + i] * along);
#if ADD == separate
    result += add[base + i];
#elif ADD == in_place
    result += dx[base + i];
#endif
    dx[base + i] = result;
  }
}
