// The pixels under each tap of a convolution's kernel side by side: y[(image, oy, ox), (ky, kx, c)] =
// x[(image, oy·stride - top + ky, ox·stride - left + kx), c], 0 outside of the picture. V is one channel or four.
struct Params {
  count: u32, line: u32, taps: u32, height: u32, width: u32, out_width: u32, out_pixels: u32,
  kernel_width: u32, stride: u32, top: u32, left: u32,
}
#params
#buffer x: array<$V>, read
#buffer y: array<$V>, read_write

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * 64u + lane;
  if (i >= p.count) { return; }
  let place = i / p.line;
  let row = place / p.taps;
  let tap = place % p.taps;
  let pixel = row % p.out_pixels;
  // Above and left of the picture these wrap round and are too large.
  let iy = pixel / p.out_width * p.stride - p.top + tap / p.kernel_width;
  let ix = pixel % p.out_width * p.stride - p.left + tap % p.kernel_width;
  let inside = iy < p.height && ix < p.width;
  let start = (row / p.out_pixels * p.height + iy) * p.width + ix;
  y[i] = select($V(), x[select(0u, start * p.line, inside) + i % p.line], inside);
}
