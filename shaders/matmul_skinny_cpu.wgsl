#if BROADCAST
enable subgroups;
#endif
// The products with a LoRA rank on one side, for software adapters, f32: out[r,c] = Σ_i u[r,i] · v[c,i], r the ranks and c
// the tokens (h, g) or a layer's columns (dA, dB). Every operand has its own strides, so that one pipeline serves all four. The tile
// is that of matmul_linear_cpu: ROWS ranks, four columns a lane. The work comes in up to four segments, one for each layer.
struct Params {
  u_row: u32, v_row: u32, v_step: u32, out_row: u32,
  scaled: u32, adds: u32, tiles: u32,
  rank0: u32, rank1: u32, rank2: u32, rank3: u32,
  columns0: u32, columns1: u32, columns2: u32, columns3: u32,
  terms0: u32, terms1: u32, terms2: u32, terms3: u32,
  u_start0: u32, u_start1: u32, u_start2: u32, u_start3: u32,
  u_step0: u32, u_step1: u32, u_step2: u32, u_step3: u32,
  v_start0: u32, v_start1: u32, v_start2: u32, v_start3: u32,
  out0: u32, out1: u32, out2: u32, out3: u32,
  out_column0: u32, out_column1: u32, out_column2: u32, out_column3: u32,
  scale0: f32, scale1: f32, scale2: f32, scale3: f32,
}
#params
#step
#buffer u: array<f32>, read
#buffer v: array<f32>, read
#buffer out: array<f32>, read_write

@compute @workgroup_size($LANES)
#if BROADCAST
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
#else
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
#endif
  var part = group.x + group.y * 65535u;
  if (part >= p.tiles) { return; }
  var rank = p.rank0;
  var columns = p.columns0;
  var terms = p.terms0;
  var u_start = p.u_start0;
  var u_step = p.u_step0;
  var v_start = p.v_start0;
  var start = p.out0;
  var out_column = p.out_column0;
  var scale = p.scale0;
  var wide = (columns + $(4 * LANES - 1)u) / $(4 * LANES)u;
  var before = wide * ((rank + $(ROWS - 1)u) / $(ROWS)u);
#for s 1 4
  if (part >= before) {
    part -= before;
    rank = p.rank$s;
    columns = p.columns$s;
    terms = p.terms$s;
    u_start = p.u_start$s;
    u_step = p.u_step$s;
    v_start = p.v_start$s;
    start = p.out$s;
    out_column = p.out_column$s;
    scale = p.scale$s;
    wide = (columns + $(4 * LANES - 1)u) / $(4 * LANES)u;
    before = wide * ((rank + $(ROWS - 1)u) / $(ROWS)u);
  }
#endfor
  let row = (part / wide) * $(ROWS)u;
  let column = (part % wide) * $(4 * LANES)u + lane;
#for c 0 4
  let c$c = v_start + min(column + $(c * LANES)u, columns - 1u) * p.v_row;
#endfor
#for i 0 ROWS
  var acc$i = vec4f();
#endfor
#if BROADCAST
#for q 0 LOADS
  let mine$q = u_start + min(row + lane + $(q * LANES)u, rank - 1u) * p.u_row;
#endfor
#else
#for i 0 ROWS
  let mine$i = u_start + min(row + $(i)u, rank - 1u) * p.u_row;
#endfor
#endif
  let end = terms - 1u;
  for (var i = 0u; i < terms; i += 4u) {
    // Past the last term the last one is read again, times 0.
    let i1 = min(i + 1u, end);
    let i2 = min(i + 2u, end);
    let i3 = min(i + 3u, end);
    let mask = vec4f(1.0, select(0.0, 1.0, i + 1u < terms), select(0.0, 1.0, i + 2u < terms), select(0.0, 1.0, i + 3u < terms));
#for c 0 4
    let v$c = vec4f(v[c$c + i * p.v_step], v[c$c + i1 * p.v_step], v[c$c + i2 * p.v_step], v[c$c + i3 * p.v_step]);
#endfor
#if BROADCAST
#for q 0 LOADS
    let l$q = mask * vec4f(u[mine$q + i * u_step], u[mine$q + i1 * u_step], u[mine$q + i2 * u_step], u[mine$q + i3 * u_step]);
#endfor
#endif
#for i 0 ROWS
#if BROADCAST
    let t$i = subgroupBroadcast(l$(i / LANES), $(i % LANES)u);
#else
    let t$i = mask * vec4f(u[mine$i + i * u_step], u[mine$i + i1 * u_step], u[mine$i + i2 * u_step], u[mine$i + i3 * u_step]);
#endif
    acc$i += vec4f(dot(t$i, v0), dot(t$i, v1), dot(t$i, v2), dot(t$i, v3));
#endfor
  }

  scale = select(1.0, scale * step.strength, p.scaled == 1u);
  let add = p.adds == 1u && step.accumulate == 1u;
  for (var c = 0u; c < 4u; c++) {
    let inner = column + c * $(LANES)u;
    if (inner < columns) {
#for i 0 ROWS
      if (row + $(i)u < rank) {
        let at = start + (row + $(i)u) * p.out_row + inner * out_column;
        let value = acc$i[c] * scale;
        out[at] = select(value, out[at] + value, add);
      }
#endfor
    }
  }
}
