// The input gradient of a convolution for graphics cards: the tile of matmul_backward_gpu over pixels of one phase. A step
// takes TILE_K output channels of one tap.
#include conv2d_backward_common

const DY_STRIDE = $(TILE_K / 4 + 1)u;
const W_STRIDE = $(TILE_N / 4 + 1)u;
var<workgroup> tile_dy: array<vec4f, $(TILE_M * (TILE_K / 4 + 1))>;
var<workgroup> tile_w: array<vec4f, $(TILE_K * (TILE_N / 4 + 1))>;

@compute @workgroup_size($(TILE_M / ROWS * (TILE_N / COLUMNS)))
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let tile = group.x + group.y * 65535u;
  if (tile >= p.phase_tiles * p.stride * p.stride) { return; }
  let phase = phase_of(tile);
  let m = p.images * phase.rows * phase.columns;
  let row = (tile % p.phase_tiles / p.tiles_k) * $(TILE_M)u;
  if (row >= m) { return; }
  let first = (tile % p.tiles_k) * $(TILE_N)u;
  let tx = index % $(TILE_N / COLUMNS)u;
  let ty = index / $(TILE_N / COLUMNS)u;
  let last = m - 1u;
  let channels = p.channels;
  let w_stride = p.kernel_height * p.kernel_width * channels;
  // Every invocation loads the same four terms of its pixels, and the same four channels of its rows of W.
  let part = index % $(TILE_K / 4)u;
  let lane_line = index / $(TILE_K / 4)u;
  let w_line = index / $(TILE_N / 4)u;
  let w_part = index % $(TILE_N / 4)u;
#if VEC
  let w_column = min(first + 4u * w_part, channels - 4u);
#else
  let w_column = min(first + 4u * w_part, channels - 1u);
#endif
#for q 0 LOADS_X
  let source$q = source(min(row + lane_line + $(q * LOAD_LINES)u, last), phase);
#endfor
#for i 0 ROWS
#for c 0 COLUMNS/4
  var acc$(i)_$c = vec4f();
#endfor
#endfor
  var up = 0u;
  for (var ky = phase.tap_y; ky < p.kernel_height; ky += p.stride) {
    var aside = 0u;
    for (var kx = phase.tap_x; kx < p.kernel_width; kx += p.stride) {
#for q 0 LOADS_X
      let y$q = source$q.y - up;
      let x$q = source$q.x - aside;
      let inside$q = y$q < p.out_height && x$q < p.out_width;
      let dy_base$q = p.dy_offset + select(0u, (source$q.start + y$q * p.out_width + x$q) * p.dy_stride, inside$q);
#endfor
      let tap = (ky * p.kernel_width + kx) * channels;
      for (var start = 0u; start < p.n; start += $(TILE_K)u) {
        let t = start + 4u * part;
        let within = t < p.n;
#for q 0 LOADS_X
        tile_dy[(lane_line + $(q * LOAD_LINES)u) * DY_STRIDE + part] = select(vec4f(), load_dy(dy_base$q, select(0u, t, within), p.n), inside$q && within);
#endfor
        // Rows beyond the last meet zeros of dy.
#for q 0 LOADS_W
        tile_w[(w_line + $(q * W_LINES)u) * W_STRIDE + w_part] = load_w(min(start + w_line + $(q * W_LINES)u, p.n - 1u) * w_stride + tap, w_column, channels);
#endfor
        workgroupBarrier();
        for (var step = 0u; step < $(TILE_K / 4)u; step++) {
#include matmul_tile_columns STEP=step
        }
        workgroupBarrier();
      }
      aside++;
    }
    up++;
  }
#for i 0 ROWS
  let row$i = row + ty + $(i * (TILE_M / ROWS))u;
  if (row$i < m) {
    let begin = pixel_of(row$i, phase) * channels;
#for c 0 COLUMNS/4
    put(begin, first + 4u * (tx + $(c * (TILE_N / COLUMNS))u), acc$(i)_$c);
#endfor
  }
#endfor
}

fn put(begin: u32, column: u32, sum: vec4f) {
  let has_residual = p.has_residual == 1u;
#include matmul_dx WIDTH=p.channels
}
