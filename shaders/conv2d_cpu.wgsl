#if BROADCAST
enable subgroups;
#endif
// Convolution for software adapters: the tile of matmul_linear_cpu, ROWS pixels by four output channels a lane. The outer
// loops go over the kernel's taps and move the address of each pixel, the inner one over the channels; a lane puts zeros in
// place of what it loads where the tap is outside of the picture.
#include conv2d_common

#include matmul_lanes_main
  let tile = group.x + group.y * 65535u;
  // Tiles of the same channels follow each other: their weights, far more than the pixels, stay in the cache.
  let row = (tile % p.tiles_m) * $(ROWS)u;
  let first = (tile / p.tiles_m) * $(4 * LANES)u;
  if (first >= p.n) { return; }
  let last = p.m - 1u;
  let n = p.n;
  let channels = p.channels;
  let height = p.height;
  let width = p.width;
  let kernel_height = p.kernel_height;
  let kernel_width = p.kernel_width;
  let dilation = p.dilation;
  let steps = (channels + 3u) / 4u;
#if VEC
  let line = channels / 4u;
#else
  let line = channels;
#endif
  let taps = kernel_height * kernel_width;
  let column = first + 4u * lane;
#for c 0 4
  let w_row$c = min(column + $(c)u, n - 1u) * taps * line;
#endfor
#include matmul_lanes_zero
#for q 0 LOADS
#if BROADCAST
  let source$q = source(min(row + lane + $(q * LANES)u, last));
#else
  let source$q = source(min(row + $(q)u, last));
#endif
#endfor

  var tap = 0u;
  for (var ky = 0u; ky < kernel_height; ky++) {
    for (var kx = 0u; kx < kernel_width; kx++) {
#for q 0 LOADS
      let y$q = source$q.y + ky * dilation;
      let x$q = source$q.x + kx * dilation;
      let inside$q = y$q < height && x$q < width;
      let x_base$q = select(0u, (source$q.start + y$q * width + x$q) * line, inside$q);
#endfor
#for c 0 4
      let w_base$c = w_row$c + tap;
#endfor
      tap += line;
      for (var i = 0u; i < steps; i++) {
#for c 0 4
    let v$c = load_w(w_base$c, i, channels);
#endfor
#for q 0 LOADS
    let l$q = select(vec4f(), load_x(x_base$q, i, channels), inside$q);
#endfor
#include matmul_multiply
      }
    }
  }

#include matmul_lanes_sums
  let y_offset = p.y_offset;
  let y_stride = p.y_stride;
  let out_pixels = p.out_pixels;
  let has_bias = p.has_bias == 1u;
  let has_image_bias = p.has_image_bias == 1u;
  let has_residual = p.has_residual == 1u;
  for (var i = 0u; i < $(ROWS)u; i++) {
#include matmul_lanes_row
    if (at_row > last) { continue; }
    let image_at = y_offset + at_row / out_pixels * y_stride + column;
#if Y4
    if (column < n) {
      let at = (y_offset + at_row * y_stride + column) / 4u;
      var value = sums[i];
      if (has_bias) { value += bias[column / 4u]; }
      if (has_image_bias) { value += image_bias[image_at / 4u]; }
      if (has_residual) { value += residual[at]; }
      y[at] = value;
    }
#else
    let values = sums[i];
    for (var q = 0u; q < 4u; q++) {
      if (column + q < n) {
        let at = y_offset + at_row * y_stride + column + q;
        var value = values[q];
        if (has_bias) { value += bias[column + q]; }
        if (has_image_bias) { value += image_bias[image_at + q]; }
        if (has_residual) { value += residual[at]; }
        y[at] = value;
      }
    }
#endif
  }
}
