// Convolution for graphics cards: the tile of matmul_linear_gpu, TILE_M pixels by TILE_N output channels a workgroup. A step
// takes TILE_K channels of one tap; each invocation keeps where the pixels that it loads begin, so that a tap costs it a few
// additions and the loads of x, of neighbouring channels, stay joined.
#include conv2d_common

const STRIDE = $(TILE_K / 4 + 1)u;
const THREADS = $(TILE_M / ROWS * (TILE_N / COLUMNS))u;
var<workgroup> tile_x: array<vec4f, $(TILE_M * (TILE_K / 4 + 1))>;
var<workgroup> tile_w: array<vec4f, $(TILE_N * (TILE_K / 4 + 1))>;

@compute @workgroup_size($(TILE_M / ROWS * (TILE_N / COLUMNS)))
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let tile = group.x + group.y * 65535u;
  let row = (tile / p.tiles_n) * $(TILE_M)u;
  let first = (tile % p.tiles_n) * $(TILE_N)u;
  if (row >= p.m) { return; }
  // Neighbouring invocations hold neighbouring columns, so that writes to y join.
  let tx = index % $(TILE_N / COLUMNS)u;
  let ty = index / $(TILE_N / COLUMNS)u;
  let last = p.m - 1u;
  let channels = p.channels;
  let steps = (channels + 3u) / 4u;
#if VEC
  let line = channels / 4u;
#else
  let line = channels;
#endif
  let taps = p.kernel_height * p.kernel_width;
  // Every invocation loads the same four channels of its pixels and of its rows of W.
  let part = index % $(TILE_K / 4)u;
  let lane_line = index / $(TILE_K / 4)u;
#for q 0 LOADS_X
  let source$q = source(min(row + lane_line + $(q * LOAD_LINES)u, last));
#endfor
#for q 0 LOADS_W
  let w_row$q = min(first + lane_line + $(q * LOAD_LINES)u, p.n - 1u) * taps * line;
#endfor
#for i 0 ROWS
#for c 0 COLUMNS
  var acc$(i)_$c = 0.0;
#endfor
#endfor
  var tap = 0u;
  for (var ky = 0u; ky < p.kernel_height; ky++) {
    for (var kx = 0u; kx < p.kernel_width; kx++) {
#for q 0 LOADS_X
      let y$q = source$q.y + ky * p.dilation;
      let x$q = source$q.x + kx * p.dilation;
      let inside$q = y$q < p.height && x$q < p.width;
      let x_base$q = select(0u, (source$q.start + y$q * p.width + x$q) * line, inside$q);
#endfor
      for (var start = 0u; start < steps; start += $(TILE_K / 4)u) {
        let i = start + part;
        let within = i < steps;
        // Beyond the last channel any address of the row will do: select() reads both.
        let at = min(i, steps - 1u);
#for q 0 LOADS_X
        tile_x[(lane_line + $(q * LOAD_LINES)u) * STRIDE + part] = select(vec4f(), load_x(x_base$q, at, channels), inside$q && within);
#endfor
#for q 0 LOADS_W
        tile_w[(lane_line + $(q * LOAD_LINES)u) * STRIDE + part] = select(vec4f(), load_w(w_row$q + tap, at, channels), within);
#endfor
        workgroupBarrier();
        for (var step = 0u; step < $(TILE_K / 4)u; step++) {
#include matmul_tile_terms STEP=step
        }
        workgroupBarrier();
      }
      tap += line;
    }
  }
#for c 0 COLUMNS
  let column$c = first + tx + $(c * (TILE_N / COLUMNS))u;
  if (column$c < p.n) {
    var offset = 0.0;
    if (p.has_bias == 1u) { offset = bias[column$c]; }
#for i 0 ROWS
    put(row + ty + $(i * (TILE_M / ROWS))u, column$c, acc$(i)_$c + offset);
#endfor
  }
#endfor
}

fn put(row: u32, column: u32, sum: f32) {
  if (row >= p.m) { return; }
  let at = p.y_offset + row * p.y_stride + column;
  var value = sum;
  if (p.has_image_bias == 1u) { value += image_bias[p.y_offset + row / p.out_pixels * p.y_stride + column]; }
  if (p.has_residual == 1u) { value += residual[at]; }
  y[at] = value;
}
