// out[r,c] = Σ_m u[m,r] · v[m,c] for software adapters, u narrow (a LoRA rank) and v wide: a lane holds one column c and ROWS
// ranks of it. v's columns come in up to four segments, each with its own columns of u and its own place in `grad`:
// element (r, c) of a segment is written to out + r * row_stride + c * column_stride.
struct Params {
  m: u32, u_stride: u32, v_stride: u32, tiles: u32,
  columns0: u32, columns1: u32, columns2: u32, columns3: u32,
  rank0: u32, rank1: u32, rank2: u32, rank3: u32,
  u_start0: u32, u_start1: u32, u_start2: u32, u_start3: u32,
  v_start0: u32, v_start1: u32, v_start2: u32, v_start3: u32,
  out0: u32, out1: u32, out2: u32, out3: u32,
  row_stride0: u32, row_stride1: u32, row_stride2: u32, row_stride3: u32,
  column_stride0: u32, column_stride1: u32, column_stride2: u32, column_stride3: u32,
}
#params
#step
#if VEC
#buffer u: array<vec4f>, read
#else
#buffer u: array<f32>, read
#endif
#buffer v: array<f32>, read
#buffer grad: array<f32>, read_write

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var part = group.x + group.y * 65535u;
  if (part >= p.tiles) { return; }
  let columns = array<u32, 4>(p.columns0, p.columns1, p.columns2, p.columns3);
  let ranks = array<u32, 4>(p.rank0, p.rank1, p.rank2, p.rank3);
  let u_starts = array<u32, 4>(p.u_start0, p.u_start1, p.u_start2, p.u_start3);
  let v_starts = array<u32, 4>(p.v_start0, p.v_start1, p.v_start2, p.v_start3);
  let outs = array<u32, 4>(p.out0, p.out1, p.out2, p.out3);
  let row_strides = array<u32, 4>(p.row_stride0, p.row_stride1, p.row_stride2, p.row_stride3);
  let column_strides = array<u32, 4>(p.column_stride0, p.column_stride1, p.column_stride2, p.column_stride3);
  var s = 0u;
  var wide = 1u;
  for (; s < 4u; s++) {
    wide = max(1u, (columns[s] + $(LANES - 1)u) / $(LANES)u);
    let tiles = wide * ((ranks[s] + $(ROWS - 1)u) / $(ROWS)u);
    if (part < tiles) { break; }
    part -= tiles;
  }
  let rank = ranks[s];
  let row = (part / wide) * $(ROWS)u;
  let column = (part % wide) * $(LANES)u + lane;
  let inner = v_starts[s] + min(column, columns[s] - 1u);
#for i 0 ROWS
  var acc$i = 0.0;
#endfor
#if VEC
#for i 0 ROWS/4
  let u$i = (u_starts[s] + min(row + $(4 * i)u, rank - 4u)) / 4u;
#endfor
  let stride = p.u_stride / 4u;
  for (var m = 0u; m < p.m; m++) {
    let value = v[m * p.v_stride + inner];
#for i 0 ROWS/4
    let t$i = u[m * stride + u$i] * value;
    acc$(4 * i) += t$i.x; acc$(4 * i + 1) += t$i.y; acc$(4 * i + 2) += t$i.z; acc$(4 * i + 3) += t$i.w;
#endfor
  }
#else
#for i 0 ROWS
  let u$i = u_starts[s] + min(row + $(i)u, rank - 1u);
#endfor
  for (var m = 0u; m < p.m; m++) {
    let value = v[m * p.v_stride + inner];
#for i 0 ROWS
    acc$i += u[m * p.u_stride + u$i] * value;
#endfor
  }
#endif
  if (column >= columns[s]) { return; }
#for i 0 ROWS
  if (row + $(i)u < rank) {
    let at = outs[s] + (row + $(i)u) * row_strides[s] + column * column_strides[s];
    grad[at] = select(acc$i, grad[at] + acc$i, step.accumulate == 1u);
  }
#endfor
}
