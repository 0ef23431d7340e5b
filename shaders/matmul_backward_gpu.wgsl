// dx[M,K] = dy[M,N] · W[N,K] (+ g · A) for graphics cards: the tile of matmul_linear_gpu. dy lies in workgroup memory as vec4
// along the terms, W as vec4 along the output's columns, as it is stored; an invocation holds ROWS rows of COLUMNS / 4 vec4.
#include matmul_backward_common

const DY_STRIDE = $(TILE_K / 4 + 1)u;
const W_STRIDE = $(TILE_N / 4 + 1)u;
var<workgroup> tile_dy: array<vec4f, $(TILE_M * (TILE_K / 4 + 1))>;
var<workgroup> tile_w: array<vec4f, $(TILE_K * (TILE_N / 4 + 1))>;

@compute @workgroup_size($(TILE_M / ROWS * (TILE_N / COLUMNS)))
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let tile = group.x + group.y * 65535u;
  let row = (tile / p.tiles_k) * $(TILE_M)u;
  let first = (tile % p.tiles_k) * $(TILE_N)u;
  if (row >= p.m) { return; }
  let tx = index % $(TILE_N / COLUMNS)u;
  let ty = index / $(TILE_N / COLUMNS)u;
  let last = p.m - 1u;
#if VEC
  let edge = p.k - 4u;
#else
  let edge = p.k - 1u;
#endif
  let blocks = (p.n + $(TILE_K - 1)u) / $(TILE_K)u;
  let total = blocks + (p.rank + $(TILE_K - 1)u) / $(TILE_K)u;
#for i 0 ROWS
#for c 0 COLUMNS/4
  var acc$(i)_$c = vec4f();
#endfor
#endfor
  for (var block = 0u; block < total; block++) {
    let low = block >= blocks;
    let terms = select(p.n, p.rank, low);
    let start = select(block, block - blocks, low) * $(TILE_K)u;
    for (var e = index; e < $(TILE_M * TILE_K / 4)u; e += $(TILE_M / ROWS * (TILE_N / COLUMNS))u) {
      let line = e / $(TILE_K / 4)u;
      let t = start + 4u * (e % $(TILE_K / 4)u);
      let at_row = min(row + line, last);
      var value = vec4f();
      if (t < terms) {
        if (low) {
          value = load_g(at_row * p.rank, t, p.rank);
        } else {
          value = load_dy(p.dy_offset + at_row * p.dy_stride, t, p.n);
        }
      }
      tile_dy[line * DY_STRIDE + e % $(TILE_K / 4)u] = value;
    }
    for (var e = index; e < $(TILE_K * TILE_N / 4)u; e += $(TILE_M / ROWS * (TILE_N / COLUMNS))u) {
      let line = e / $(TILE_N / 4)u;
      let part = e % $(TILE_N / 4)u;
      let t = min(start + line, terms - 1u);
      let column = min(first + 4u * part, edge);
      var value: vec4f;
      if (low) {
        value = load_a(p.a_offset + t * p.k, column, p.k);
      } else {
        value = load_w(t * p.k, column, p.k);
      }
      tile_w[line * W_STRIDE + part] = value;
    }
    workgroupBarrier();
    for (var part = 0u; part < $(TILE_K / 4)u; part++) {
#include matmul_tile_columns STEP=part
    }
    workgroupBarrier();
  }
#for i 0 ROWS
#for c 0 COLUMNS/4
  put(row + ty + $(i * (TILE_M / ROWS))u, first + 4u * (tx + $(c * (TILE_N / COLUMNS))u), acc$(i)_$c);
#endfor
#endfor
}

fn put(row: u32, column: u32, sum: vec4f) {
  if (row >= p.m) { return; }
  let begin = row * p.k;
  let has_residual = p.has_residual == 1u;
#include matmul_dx WIDTH=p.k
}
