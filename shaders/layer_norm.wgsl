// y = (x - mean) · rstd · weight + bias, one workgroup a row. The mean is summed from the row's first element on and the
// variance around the mean, so that rows far from zero lose nothing.
#if REDUCE == subgroup
enable subgroups;
#endif
#include vector
#include row_reduce
// width in units of V; columns is the row's length in elements.
struct Params { rows: u32, width: u32, columns: f32, eps: f32 }
#params
#buffer x: array<V>, read
#include stored_weight BUFFER=weight
#include stored_weight BUFFER=bias
#buffer y: array<V>, read_write
#buffer stats: array<vec2<f32>>, read_write

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * 65535u;
  if (row >= p.rows) { return; }
  let base = row * p.width;
#if VECTOR == 4
  let first = x[base].x;
#else
  let first = x[base];
#endif
  var sum = 0.0;
  for (var i = lane; i < p.width; i += $(WG)u) { sum += total(x[base + i] - first); }
  let mean = first + reduce_sum(sum, lane) / p.columns;
  var squares = 0.0;
  for (var i = lane; i < p.width; i += $(WG)u) {
    let value = x[base + i] - mean;
    squares += total(value * value);
  }
  let rstd = inverseSqrt(reduce_sum(squares, lane) / p.columns + p.eps);
  if (lane == 0u) { stats[row] = vec2<f32>(mean, rstd); }
  for (var i = lane; i < p.width; i += $(WG)u) {
    y[base + i] = (x[base + i] - mean) * rstd * weight_at(i) + bias_at(i);
  }
}
