#if BROADCAST
enable subgroups;
#endif
// The input gradient of a convolution for software adapters: the tile of matmul_backward_cpu over pixels of one phase, with
// the taps as outer loops.
#include conv2d_backward_common

#include matmul_lanes_main
  let tile = group.x + group.y * 65535u;
  if (tile >= p.phase_tiles * p.stride * p.stride) { return; }
  let phase = phase_of(tile);
  let m = p.images * phase.rows * phase.columns;
  // Tiles of the same channels follow each other: their weights, far more than the pixels, stay in the cache.
  let row = (tile % p.phase_tiles % p.tiles_m) * $(ROWS)u;
  if (row >= m) { return; }
  let last = m - 1u;
  let n = p.n;
  let channels = p.channels;
  let out_height = p.out_height;
  let out_width = p.out_width;
  let kernel_height = p.kernel_height;
  let kernel_width = p.kernel_width;
  let stride = p.stride;
  let dy_offset = p.dy_offset;
  let dy_stride = p.dy_stride;
  let w_stride = kernel_height * kernel_width * channels;
  let column = (tile % p.phase_tiles / p.tiles_m) * $(4 * LANES)u + 4u * lane;
#if VEC
  let inner = min(column, channels - 4u);
#else
  let inner = min(column, channels - 1u);
#endif
#include matmul_lanes_zero
#for q 0 LOADS
#if BROADCAST
  let source$q = source(min(row + lane + $(q * LANES)u, last), phase);
#else
  let source$q = source(min(row + $(q)u, last), phase);
#endif
#endfor

  var up = 0u;
  for (var ky = phase.tap_y; ky < kernel_height; ky += stride) {
    var aside = 0u;
    for (var kx = phase.tap_x; kx < kernel_width; kx += stride) {
#for q 0 LOADS
      let y$q = source$q.y - up;
      let x$q = source$q.x - aside;
      let inside$q = y$q < out_height && x$q < out_width;
      let dy_base$q = dy_offset + select(0u, (source$q.start + y$q * out_width + x$q) * dy_stride, inside$q);
#endfor
      let tap = (ky * kernel_width + kx) * channels;
      for (var t = 0u; t < n; t += 4u) {
#for c 0 4
#if DY4
    let row$c = load_w((t + $(c)u) * w_stride + tap, inner, channels);
#else
    let row$c = load_w(min(t + $(c)u, n - 1u) * w_stride + tap, inner, channels);
#endif
#endfor
#for q 0 LOADS
    let l$q = select(vec4f(), load_dy(dy_base$q, t, n), inside$q);
#endfor
#include matmul_turned
      }
      aside++;
    }
    up++;
  }

#include matmul_lanes_sums
  let has_residual = p.has_residual == 1u;
  for (var i = 0u; i < $(ROWS)u; i++) {
#include matmul_lanes_row
    if (at_row > last) { continue; }
    let begin = pixel_of(at_row, phase) * channels;
    let sum = sums[i];
#include matmul_dx WIDTH=channels
  }
}
