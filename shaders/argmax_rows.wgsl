// y[row] = the column of the row's largest element, the first of equals; one workgroup a row. Columns are compared as negative
// f32 numbers, which are exact below 2^24.
#if REDUCE == subgroup
enable subgroups;
#endif
#include row_reduce
struct Params { rows: u32, columns: u32 }
#params
#buffer x: array<f32>, read
#buffer y: array<u32>, read_write

const LOWEST = -3.4e38;

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * 65535u;
  if (row >= p.rows) { return; }
  let base = row * p.columns;
  var most = LOWEST;
  var at = lane;
  for (var c = lane; c < p.columns; c += $(WG)u) {
    let value = x[base + c];
    // Columns come in order, so that only a larger one takes the place.
    if (value > most) {
      most = value;
      at = c;
    }
  }
  let row_most = reduce_max(most, lane);
  let first = reduce_max(select(LOWEST, -f32(at), most == row_most), lane);
  if (lane == 0u) { y[row] = min(u32(-first), p.columns - 1u); }
}
