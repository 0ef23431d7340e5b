// dgate = dy · up · act'(gate), dup = dy · act(gate), written packed like the input.
#include vector
#include activation
struct Params { rows: u32, width: u32 }
#params
#buffer x: array<V>, read
#buffer dy: array<V>, read
#buffer dx: array<V>, read_write

@compute @workgroup_size($WG)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  if (id.x >= p.width) { return; }
  for (var row = group.y; row < p.rows; row += groups.y) {
    let at = row * 2u * p.width + id.x;
#if GATE == first
    let to_gate = at;
    let to_up = at + p.width;
#else
    let to_gate = at + p.width;
    let to_up = at;
#endif
    let gate = x[to_gate];
    let g = dy[row * p.width + id.x];
    dx[to_gate] = g * x[to_up] * activate_grad(gate);
    dx[to_up] = g * activate(gate);
  }
}
