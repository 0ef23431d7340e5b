// y[t, y_offset + c] = x[t, x_offset + c] for c < width; all in units of V.
struct Params { count: u32, width: u32, x_stride: u32, x_offset: u32, y_stride: u32, y_offset: u32 }
#params
alias V = $V;
#buffer x: array<V>, read
#buffer y: array<V>, read_write

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * 64u + lane;
  if (i >= p.count) { return; }
  let t = i / p.width;
  let c = i - t * p.width;
  y[t * p.y_stride + p.y_offset + c] = x[t * p.x_stride + p.x_offset + c];
}
