// y[M,N] = x[M,K] · W[N,K]ᵀ for graphics cards: TILE_M by TILE_N outputs a workgroup, TILE_K terms at a time through workgroup
// memory, ROWS by COLUMNS outputs an invocation. Both operands lie there as vec4 along K, each row padded by one vec4 so that neighbouring
// rows fall into different banks. LoRA's h · Bᵀ is more steps of the same loop.
#include matmul_linear_common

const STRIDE = $(TILE_K / 4 + 1)u;
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
  let steps = (p.k + 3u) / 4u;
#if VEC
  let stride = p.k / 4u;
#else
  let stride = p.k;
#endif
  let end = vec4u(p.end0, p.end1, p.end2, p.end3);
  let rank = vec4u(p.rank0, p.rank1, p.rank2, p.rank3);
  let h_start = vec4u(p.h0, p.h1, p.h2, p.h3);
  let b_start = vec4u(p.b0, p.b1, p.b2, p.b3);
  let h_first = low_rank(first, end, rank, h_start, b_start).lo;
  let h_end = low_rank(min(first + $(TILE_N)u, p.n) - 1u, end, rank, h_start, b_start).hi;
  let blocks = (steps + $(TILE_K / 4 - 1)u) / $(TILE_K / 4)u;
  let total = blocks + (h_end - h_first + $(TILE_K - 1)u) / $(TILE_K)u;
#for i 0 ROWS
#for c 0 COLUMNS
  var acc$(i)_$c = 0.0;
#endfor
#endfor
  for (var block = 0u; block < total; block++) {
    for (var e = index; e < $((TILE_M + TILE_N) * TILE_K / 4)u; e += $(TILE_M / ROWS * (TILE_N / COLUMNS))u) {
      let line = e / $(TILE_K / 4)u;
      let part = e % $(TILE_K / 4)u;
      var value = vec4f();
      if (block < blocks) {
        let i = block * $(TILE_K / 4)u + part;
        if (i < steps) {
          if (line < $(TILE_M)u) {
            value = load_x(min(row + line, last) * stride, i, p.k);
          } else {
            value = load_w(min(first + line - $(TILE_M)u, p.n - 1u) * stride, i, p.k);
          }
        }
      } else {
        let j = h_first + (block - blocks) * $(TILE_K)u + 4u * part;
        if (j < h_end) {
          if (line < $(TILE_M)u) {
            value = load_h(min(row + line, last) * p.h_stride, j, p.h_stride);
          } else {
            value = load_b(low_rank(min(first + line - $(TILE_M)u, p.n - 1u), end, rank, h_start, b_start), j);
          }
        }
      }
      if (line < $(TILE_M)u) { tile_x[line * STRIDE + part] = value; } else { tile_w[(line - $(TILE_M)u) * STRIDE + part] = value; }
    }
    workgroupBarrier();
    for (var part = 0u; part < $(TILE_K / 4)u; part++) {
#include matmul_tile_terms STEP=part
    }
    workgroupBarrier();
  }
#for c 0 COLUMNS
  let column$c = first + tx + $(c * (TILE_N / COLUMNS))u;
  if (column$c < p.n) {
    var offset = 0.0;
#if VEC
    if (p.has_bias == 1u) { offset = bias[column$c / 4u][column$c % 4u]; }
#else
    if (p.has_bias == 1u) { offset = bias[column$c]; }
#endif
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
#if VEC
  if (p.has_residual == 1u) { value += residual[at / 4u][at % 4u]; }
#else
  if (p.has_residual == 1u) { value += residual[at]; }
#endif
#if ACCUMULATE
  value += y[at];
#endif
  y[at] = value;
}
