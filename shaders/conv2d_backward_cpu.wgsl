#if BROADCAST
enable subgroups;
#endif
// The input gradient of a convolution for software adapters: the tile of matmul_backward_cpu over pixels of one phase, with
// the taps as outer loops.
#include conv2d_backward_common

@compute @workgroup_size($LANES)
#if BROADCAST
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
#else
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
#endif
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
#for i 0 ROWS
#for c 0 4
  var acc$(i)_$c = 0.0;
#endfor
#endfor
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
    // Four terms of one column each, so that dot() sums them before an accumulator is touched.
    let v0 = vec4f(row0.x, row1.x, row2.x, row3.x);
    let v1 = vec4f(row0.y, row1.y, row2.y, row3.y);
    let v2 = vec4f(row0.z, row1.z, row2.z, row3.z);
    let v3 = vec4f(row0.w, row1.w, row2.w, row3.w);
#include matmul_multiply
      }
      aside++;
    }
    up++;
  }

  let sums = array<vec4f, $ROWS>(
#for i 0 ROWS
    vec4f(acc$(i)_0, acc$(i)_1, acc$(i)_2, acc$(i)_3),
#endfor
  );
  let has_residual = p.has_residual == 1u;
  for (var i = 0u; i < $(ROWS)u; i++) {
#if BROADCAST && LANES == 4
    let at_row = row + (i ^ lane) % 4u + (i & ~3u);
#else
    let at_row = row + i;
#endif
    if (at_row > last) { continue; }
    let begin = pixel_of(at_row, phase) * channels;
#if VEC
    if (column < channels) {
      let at = (begin + column) / 4u;
      var value = sums[i];
      if (has_residual) { value += residual[at]; }
#if ACCUMULATE
      value += dx[at];
#endif
      dx[at] = value;
    }
#else
    let values = sums[i];
    for (var q = 0u; q < 4u; q++) {
      if (column + q < channels) {
        let at = begin + column + q;
        var value = values[q];
        if (has_residual) { value += residual[at]; }
#if ACCUMULATE
        value += dx[at];
#endif
        dx[at] = value;
      }
    }
#endif
  }
}
