#if BROADCAST
enable subgroups;
#endif
// y[M,N] = x[M,K] · W[N,K]ᵀ for software adapters. One subgroup a workgroup, ROWS rows of the output, four neighbouring
// columns a lane. A load costs dozens of multiply-adds there: each row's four values are loaded by one lane and handed to
// the others (BROADCAST; without subgroups each lane loads them), and an accumulator is touched once for every four terms.
// LoRA's h · Bᵀ is more steps of the same loop.
struct Params {
  m: u32, n: u32, k: u32, tiles_n: u32,
  y_offset: u32, y_stride: u32, h_stride: u32,
  has_bias: u32, has_residual: u32,
  end0: u32, end1: u32, end2: u32, end3: u32,
  rank0: u32, rank1: u32, rank2: u32, rank3: u32,
  h0: u32, h1: u32, h2: u32, h3: u32,
  b0: u32, b1: u32, b2: u32, b3: u32,
}
#params
#if VEC
#buffer x: array<vec4f>, read
#buffer bias: array<vec4f>, read
#buffer residual: array<vec4f>, read
#buffer y: array<vec4f>, read_write
#else
#buffer x: array<f32>, read
#buffer bias: array<f32>, read
#buffer residual: array<f32>, read
#buffer y: array<f32>, read_write
#endif
#if LORA_VEC
#buffer h: array<vec4f>, read
#buffer b: array<vec4f>, read
#else
#buffer h: array<f32>, read
#buffer b: array<f32>, read
#endif
#include matmul_weight

// Terms 4i … 4i+3 of row `at` of x, and of W; beyond K they are 0.
#if VEC
fn x4(at: u32, i: u32) -> vec4f { return x[at * (p.k / 4u) + i]; }
fn w4(at: u32, i: u32) -> vec4f { return weight4(at * (p.k / 4u) + i); }
#else
fn x4(at: u32, i: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (4u * i + q < p.k) { values[q] = x[at * p.k + 4u * i + q]; } }
  return values;
}
fn w4(at: u32, i: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (4u * i + q < p.k) { values[q] = weight(at * p.k + 4u * i + q); } }
  return values;
}
#endif

// The columns lo ≤ j < hi of h that belong to an output column, and where B's element for column j of h is: at + j.
struct LowRank { lo: u32, hi: u32, at: u32 }
fn low_rank(column: u32) -> LowRank {
  if (column < p.end0) { return LowRank(p.h0, p.h0 + p.rank0, p.b0 + column * p.rank0 - p.h0); }
  if (column < p.end1) { return LowRank(p.h1, p.h1 + p.rank1, p.b1 + (column - p.end0) * p.rank1 - p.h1); }
  if (column < p.end2) { return LowRank(p.h2, p.h2 + p.rank2, p.b2 + (column - p.end1) * p.rank2 - p.h2); }
  return LowRank(p.h3, p.h3 + p.rank3, p.b3 + (column - p.end2) * p.rank3 - p.h3);
}
#if LORA_VEC
fn h4(at: u32, j: u32) -> vec4f { return h[(at * p.h_stride + j) / 4u]; }
fn b4(s: LowRank, j: u32) -> vec4f {
  return select(vec4f(), b[(s.at + clamp(j, s.lo, max(s.hi, 1u) - 1u)) / 4u], j >= s.lo && j < s.hi);
}
#else
fn h4(at: u32, j: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (j + q < p.h_stride) { values[q] = h[at * p.h_stride + j + q]; } }
  return values;
}
fn b4(s: LowRank, j: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (j + q >= s.lo && j + q < s.hi) { values[q] = b[s.at + j + q]; } }
  return values;
}
#endif

@compute @workgroup_size($LANES)
#if BROADCAST
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
#else
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
#endif
  let tile = group.x + group.y * 65535u;
  let row = (tile / p.tiles_n) * $(ROWS)u;
  let first = (tile % p.tiles_n) * $(4 * LANES)u;
  if (row >= p.m) { return; }
  let last = p.m - 1u;
  let column = first + 4u * lane;
#for c 0 4
#if VEC
  let c$c = min(column, p.n - 4u) + $(c)u;
#else
  let c$c = min(column + $(c)u, p.n - 1u);
#endif
  let s$c = low_rank(c$c);
#endfor
#for i 0 ROWS
  let row$i = min(row + $(i)u, last);
  var acc$i = vec4f();
#endfor
#if BROADCAST
#for q 0 LOADS
  let mine$q = min(row + lane + $(q * LANES)u, last);
#endfor
#endif

  let steps = (p.k + 3u) / 4u;
  let h_first = low_rank(first).lo;
  let h_last = low_rank(min(first + $(4 * LANES)u, p.n) - 1u).hi;
  let total = steps + (h_last - h_first + 3u) / 4u;
  for (var i = 0u; i < total; i++) {
    var v0: vec4f;
    var v1: vec4f;
    var v2: vec4f;
    var v3: vec4f;
#if BROADCAST
#for q 0 LOADS
    var l$q: vec4f;
#endfor
#else
#for i 0 ROWS
    var t$i: vec4f;
#endfor
#endif
    if (i < steps) {
#for c 0 4
      v$c = w4(c$c, i);
#endfor
#if BROADCAST
#for q 0 LOADS
      l$q = x4(mine$q, i);
#endfor
#else
#for i 0 ROWS
      t$i = x4(row$i, i);
#endfor
#endif
    } else {
      let j = h_first + 4u * (i - steps);
#for c 0 4
      v$c = b4(s$c, j);
#endfor
#if BROADCAST
#for q 0 LOADS
      l$q = h4(mine$q, j);
#endfor
#else
#for i 0 ROWS
      t$i = h4(row$i, j);
#endfor
#endif
    }
#for i 0 ROWS
#if BROADCAST
    let t$i = subgroupBroadcast(l$(i / LANES), $(i % LANES)u);
#endif
    acc$i += vec4f(dot(t$i, v0), dot(t$i, v1), dot(t$i, v2), dot(t$i, v3));
#endfor
  }

  // Rows past the end repeat the last one: read everything first, then write, and the repeated rows write the same values.
#if VEC
  if (column >= p.n) { return; }
#for i 0 ROWS
  let at$i = (p.y_offset + row$i * p.y_stride + column) / 4u;
#endfor
  if (p.has_bias == 1u) {
    let offset = bias[column / 4u];
#for i 0 ROWS
    acc$i += offset;
#endfor
  }
  if (p.has_residual == 1u) {
#for i 0 ROWS
    acc$i += residual[at$i];
#endfor
  }
#if ACCUMULATE
#for i 0 ROWS
  acc$i += y[at$i];
#endfor
#endif
#for i 0 ROWS
  y[at$i] = acc$i;
#endfor
#else
#for i 0 ROWS
  if (row + $(i)u < p.m) {
    for (var q = 0u; q < 4u; q++) {
      let inner = column + q;
      if (inner < p.n) {
        let at = p.y_offset + row$i * p.y_stride + inner;
        var value = acc$i[q];
        if (p.has_bias == 1u) { value += bias[inner]; }
        if (p.has_residual == 1u) { value += residual[at]; }
#if ACCUMULATE
        value += y[at];
#endif
        y[at] = value;
      }
    }
  }
#endfor
#endif
}
