// y = x · rstd · (w + offset), rstd = 1 / sqrt(mean(x²) + eps), one workgroup a row (Zhang and Sennrich 2019, 1910.07467).
#if REDUCE == subgroup
enable subgroups;
#endif
#include vector
#include row_reduce
// width in units of V; columns is the row's length in elements.
struct Params { rows: u32, width: u32, columns: f32, eps: f32, offset: f32 }
#params
#buffer x: array<V>, read
#include stored_weight BUFFER=weight
#buffer y: array<V>, read_write
#if RSTD
#buffer rstd: array<f32>, read_write
#endif

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * 65535u;
  if (row >= p.rows) { return; }
  let base = row * p.width;
  var squares = 0.0;
  for (var i = lane; i < p.width; i += $(WG)u) {
    let value = x[base + i];
    squares += total(value * value);
  }
  let scale = inverseSqrt(reduce_sum(squares, lane) / p.columns + p.eps);
#if RSTD
  if (lane == 0u) { rstd[row] = scale; }
#endif
  for (var i = lane; i < p.width; i += $(WG)u) {
    y[base + i] = x[base + i] * scale * (weight_at(i) + p.offset);
  }
}
