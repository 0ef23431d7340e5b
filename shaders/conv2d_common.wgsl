// y[(image, oy, ox), o] = Σ x[(image, oy·stride - top + ky·dilation, ox·stride - left + kx·dilation), c] · W[o, (ky, kx, c)] as a
// product whose rows are pixels: parameters, bindings and loads of both kernel families. VEC: four input channels at a time,
// Y4: four output channels.
struct Params {
  m: u32, n: u32, channels: u32, tiles_m: u32, tiles_n: u32,
  height: u32, width: u32, out_width: u32, out_pixels: u32,
  kernel_height: u32, kernel_width: u32, stride: u32, dilation: u32, top: u32, left: u32,
  y_offset: u32, y_stride: u32,
  has_bias: u32, has_image_bias: u32, has_residual: u32,
}
#params
#if VEC
#buffer x: array<vec4f>, read
#else
#buffer x: array<f32>, read
#endif
#if Y4
#buffer bias: array<vec4f>, read
#buffer image_bias: array<vec4f>, read
#buffer residual: array<vec4f>, read
#buffer y: array<vec4f>, read_write
#else
#buffer bias: array<f32>, read
#buffer image_bias: array<f32>, read
#buffer residual: array<f32>, read
#buffer y: array<f32>, read_write
#endif
#include stored_weight BUFFER=w

// Where an output pixel's first tap falls in x. Above and left of the picture y and x wrap round, which makes them large.
struct Source { start: u32, y: u32, x: u32 }
fn source(row: u32) -> Source {
  let pixel = row % p.out_pixels;
  return Source(
    row / p.out_pixels * p.height * p.width,
    pixel / p.out_width * p.stride - p.top,
    pixel % p.out_width * p.stride - p.left,
  );
}

// Channels 4i … 4i+3 of a pixel of x, or of one tap of a row of W, that begins at `base`; beyond the last they are 0.
// (Uniforms are read into variables first everywhere: SwiftShader would load them anew in every turn of a loop.)
#include matmul_terms
