// The gradient of unfold: dx[(image, iy, ix), c] = Σ dy[(image, oy, ox), (ky, kx, c)] over the taps that read the pixel
// (+ add). V is one channel or four.
struct Params {
  count: u32, line: u32, height: u32, width: u32, out_height: u32, out_width: u32,
  kernel_height: u32, kernel_width: u32, stride: u32, top: u32, left: u32,
}
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
  let stride = p.stride;
  let pixel = i / p.line;
  let below = pixel / p.width % p.height + p.top;
  let beside = pixel % p.width + p.left;
  let image = pixel / (p.width * p.height);
#if ADD
  var sum = add[i];
#else
  var sum = $V();
#endif
  for (var ky = below % stride; ky < p.kernel_height; ky += stride) {
    let oy = (below - ky) / stride;
    if (below < ky || oy >= p.out_height) { continue; }
    for (var kx = beside % stride; kx < p.kernel_width; kx += stride) {
      let ox = (beside - kx) / stride;
      if (beside < kx || ox >= p.out_width) { continue; }
      let row = (image * p.out_height + oy) * p.out_width + ox;
      sum += dy[((row * p.kernel_height + ky) * p.kernel_width + kx) * p.line + i % p.line];
    }
  }
  dx[i] = sum;
}
