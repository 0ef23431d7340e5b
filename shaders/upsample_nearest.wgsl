// y[2H, 2W] from x[H, W], each pixel four times. `width` is that of x; V is one channel or four.
struct Params { count: u32, line: u32, width: u32 }
#params
#buffer x: array<$V>, read
#buffer y: array<$V>, read_write

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * 64u + lane;
  if (i >= p.count) { return; }
  let pixel = i / p.line;
  let across = pixel % (2u * p.width);
  // Rows of all images together: each image has an even number of them in y.
  let down = pixel / (2u * p.width);
  y[i] = x[(down / 2u * p.width + across / 2u) * p.line + i % p.line];
}
