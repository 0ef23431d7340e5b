// dx[(image, iy, ix), c] = Σ dy[(image, oy, ox), o] · W[o, (ky, kx, c)] over the taps with oy·stride - top + ky = iy and
// likewise for x: parameters, bindings and loads of both kernel families. With a stride only every stride-th tap of a pixel
// falls on an output, so that the pixels of x are taken by phases: those with the same (iy % stride, ix % stride) have the
// same taps. VEC: four input channels at a time, DY4: four output channels.
struct Params {
  n: u32, channels: u32, tiles_m: u32, tiles_k: u32, phase_tiles: u32,
  images: u32, height: u32, width: u32, out_height: u32, out_width: u32,
  kernel_height: u32, kernel_width: u32, stride: u32, top: u32, left: u32,
  dy_offset: u32, dy_stride: u32, has_residual: u32,
}
#params
#if DY4
#buffer dy: array<vec4f>, read
#else
#buffer dy: array<f32>, read
#endif
#if VEC
#buffer residual: array<vec4f>, read
#buffer dx: array<vec4f>, read_write
#else
#buffer residual: array<f32>, read
#buffer dx: array<f32>, read_write
#endif
#include stored_weight BUFFER=w

// The pixels of one phase: the first of them, how many lie above and beside each other, the first tap that they have, and
// which output that one reads for pixel (0, 0) of the phase. Further taps read outputs further up and left.
struct Phase { y: u32, x: u32, rows: u32, columns: u32, tap_y: u32, tap_x: u32, from_y: u32, from_x: u32 }
fn phase_of(tile: u32) -> Phase {
  let number = tile / p.phase_tiles;
  let y = number / p.stride;
  let x = number % p.stride;
  let tap_y = (y + p.top) % p.stride;
  let tap_x = (x + p.left) % p.stride;
  return Phase(
    y, x, (p.height + p.stride - 1u - y) / p.stride, (p.width + p.stride - 1u - x) / p.stride,
    tap_y, tap_x, (y + p.top - tap_y) / p.stride, (x + p.left - tap_x) / p.stride,
  );
}

// Where the first tap of a row of the phase falls in dy. Beyond the last output and, by wrapping round, above and left of
// the first y and x are too large.
struct Source { start: u32, y: u32, x: u32 }
fn source(row: u32, phase: Phase) -> Source {
  let pixel = row % (phase.rows * phase.columns);
  return Source(
    row / (phase.rows * phase.columns) * p.out_height * p.out_width,
    pixel / phase.columns + phase.from_y,
    pixel % phase.columns + phase.from_x,
  );
}

// The pixel of dx that a row of the phase is.
fn pixel_of(row: u32, phase: Phase) -> u32 {
  let pixel = row % (phase.rows * phase.columns);
  let y = pixel / phase.columns * p.stride + phase.y;
  let x = pixel % phase.columns * p.stride + phase.x;
  return (row / (phase.rows * phase.columns) * p.height + y) * p.width + x;
}

// Terms t … t+3 of an output pixel of dy, and four channels of one tap of one row of W.
#if DY4
fn load_dy(base: u32, t: u32, n: u32) -> vec4f { return dy[(base + t) / 4u]; }
#else
fn load_dy(base: u32, t: u32, n: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (t + q < n) { values[q] = dy[base + t + q]; } }
  return values;
}
#endif
#include matmul_columns
