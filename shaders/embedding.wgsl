// y[t] = table[ids[t]] · scale. A sharded table writes only the rows whose ids lie in its shard. width in units of V.
#include vector
struct Params { rows: u32, width: u32, first_row: u32, table_rows: u32, scale: f32 }
#params
#include stored_weight BUFFER=table
#buffer ids: array<u32>, read
#buffer y: array<V>, read_write

@compute @workgroup_size($WG)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  if (id.x >= p.width) { return; }
  for (var row = group.y; row < p.rows; row += groups.y) {
    // An id below first_row wraps to a large number, which is outside too.
    let entry = ids[row] - p.first_row;
    if (entry < p.table_rows) {
      let at = entry * p.width + id.x;
      y[row * p.width + id.x] = table_at(at) * p.scale;
    }
  }
}
