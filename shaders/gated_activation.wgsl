// y[t, f] = act(gate) · up on packed rows of 2F, gate | up or (GATE second) up | gate; one invocation an element of V.
// width = F in units of V.
#include vector
#include activation
struct Params { rows: u32, width: u32 }
#params
#buffer x: array<V>, read
#buffer y: array<V>, read_write

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
    y[row * p.width + id.x] = activate(x[at]) * x[at + p.width];
#else
    y[row * p.width + id.x] = x[at] * activate(x[at + p.width]);
#endif
  }
}
