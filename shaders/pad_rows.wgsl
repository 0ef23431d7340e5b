// Rows of each clip with rows of zeros around them; negative numbers of rows cut off. `line` is a row and `out_length` a clip's
// rows in y; V is one column or four.
struct Params { count: u32, line: u32, length: i32, out_length: u32, left: i32 }
#params
#buffer x: array<$V>, read
#buffer y: array<$V>, read_write

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * 64u + lane;
  if (i >= p.count) { return; }
  let row = i / p.line;
  let clip = row / p.out_length;
  let place = i32(row % p.out_length) - p.left;
  let inside = place >= 0 && place < p.length;
  let at = (clip * u32(p.length) + u32(select(0, place, inside))) * p.line + i % p.line;
  y[i] = select($V(), x[at], inside);
}
