// dx[M,K] = dy[M,N] · W[N,K] for software adapters: a lane holds one output column and ROWS rows of it. The output's columns
// come in up to four segments, each with its own matrix and its own range of dy's columns: one for a weight, one for each
// up-projection of a LoRA group (dh = dy · B). W's elements sit at w_offset + n * w_stride + column.
struct Params {
  m: u32, dy_stride: u32, dx_stride: u32, rank: u32,
  has_residual: u32, accumulate: u32, scaled: u32, a_offset: u32, a_stride: u32,
  columns0: u32, columns1: u32, columns2: u32, columns3: u32,
  out0: u32, out1: u32, out2: u32, out3: u32,
  n_start0: u32, n_start1: u32, n_start2: u32, n_start3: u32,
  n_count0: u32, n_count1: u32, n_count2: u32, n_count3: u32,
  w_offset0: u32, w_offset1: u32, w_offset2: u32, w_offset3: u32,
  scale0: f32, scale1: f32, scale2: f32, scale3: f32,
  tiles_k: u32,
}
#params
#step
#if VEC
#buffer dy: array<vec4f>, read
#else
#buffer dy: array<f32>, read
#endif
#if WEIGHT == f32
#buffer w: array<f32>, read
#else
#buffer w: array<u32>, read
#endif
#buffer residual: array<f32>, read
#if LORA_VEC
#buffer g: array<vec4f>, read
#else
#buffer g: array<f32>, read
#endif
#buffer a: array<f32>, read
#buffer dx: array<f32>, read_write
#include matmul_weight

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tile = group.x + group.y * 65535u;
  let row = (tile / p.tiles_k) * $(ROWS)u;
  if (row >= p.m) { return; }
  let columns = array<u32, 4>(p.columns0, p.columns1, p.columns2, p.columns3);
  let outs = array<u32, 4>(p.out0, p.out1, p.out2, p.out3);
  let n_starts = array<u32, 4>(p.n_start0, p.n_start1, p.n_start2, p.n_start3);
  let n_counts = array<u32, 4>(p.n_count0, p.n_count1, p.n_count2, p.n_count3);
  let w_offsets = array<u32, 4>(p.w_offset0, p.w_offset1, p.w_offset2, p.w_offset3);
  let scales = array<f32, 4>(p.scale0, p.scale1, p.scale2, p.scale3);
  var part = tile % p.tiles_k;
  var s = 0u;
  for (; s < 3u; s++) {
    let tiles = (columns[s] + $(LANES - 1)u) / $(LANES)u;
    if (part < tiles) { break; }
    part -= tiles;
  }
  let width = columns[s];
  let column = part * $(LANES)u + lane;
  let inner = min(column, width - 1u);
  let count = n_counts[s];
  let last = p.m - 1u;
#for i 0 ROWS
  let row$i = min(row + $(i)u, last);
#if VEC
  let dy$i = (row$i * p.dy_stride + n_starts[s]) / 4u;
#else
  let dy$i = row$i * p.dy_stride + n_starts[s];
#endif
  var acc$i = 0.0;
#endfor
  var e = w_offsets[s] + inner;
#if VEC
  for (var n = 0u; n < count / 4u; n++) {
    let v = vec4f(weight(e), weight(e + width), weight(e + 2u * width), weight(e + 3u * width));
    e += 4u * width;
#for i 0 ROWS
    acc$i += dot(dy[dy$i + n], v);
#endfor
  }
#else
  for (var n = 0u; n < count; n++) {
    let v = weight(e);
    e += width;
#for i 0 ROWS
    acc$i += dy[dy$i + n] * v;
#endfor
  }
#endif

  // The low-rank path: g · A, more steps of the same tile.
  var at_a = p.a_offset + inner;
#if LORA_VEC
  for (var j = 0u; j < p.rank / 4u; j++) {
    let v = vec4f(a[at_a], a[at_a + p.a_stride], a[at_a + 2u * p.a_stride], a[at_a + 3u * p.a_stride]);
    at_a += 4u * p.a_stride;
#for i 0 ROWS
    acc$i += dot(g[row$i * (p.rank / 4u) + j], v);
#endfor
  }
#else
  for (var j = 0u; j < p.rank; j++) {
    let v = a[at_a];
    at_a += p.a_stride;
#for i 0 ROWS
    acc$i += g[row$i * p.rank + j] * v;
#endfor
  }
#endif

  if (column >= width) { return; }
  let scale = select(1.0, scales[s] * step.strength, p.scaled == 1u);
#for i 0 ROWS
  if (row + $(i)u < p.m) {
    var value = acc$i * scale;
    let at = (row + $(i)u) * p.dx_stride + outs[s] + column;
    if (p.has_residual == 1u) { value += residual[at]; }
    if (p.accumulate == 1u) { value += dx[at]; }
    dx[at] = value;
  }
#endfor
}
