// The gradient of upsample_nearest: dx = the sum of the four pixels of dy (+ add). `width` is that of x; V is one channel or four.
struct Params { count: u32, line: u32, width: u32 }
#params
#buffer dy: array<$V>, read
#if ADD
#buffer add: array<$V>, read
#endif
#buffer dx: array<$V>, read_write

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * 64u + lane;
  if (i >= p.count) { return; }
  let line = p.line;
  let pixel = i / line;
  let above = (pixel / p.width * 4u * p.width + pixel % p.width * 2u) * line + i % line;
  let below = above + 2u * p.width * line;
  let sum = dy[above] + dy[above + line] + dy[below] + dy[below + line];
#if ADD
  dx[i] = sum + add[i];
#else
  dx[i] = sum;
#endif
}
