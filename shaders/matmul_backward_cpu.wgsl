#if BROADCAST
enable subgroups;
#endif
// dx[M,K] = dy[M,N] · W[N,K] (+ g[M,R] · A[R,K]) for software adapters: the tile of matmul_linear_cpu, with the weight's
// rows read along the output's columns.
struct Params {
  m: u32, n: u32, k: u32, tiles_k: u32,
  dy_offset: u32, dy_stride: u32, rank: u32, a_offset: u32, has_residual: u32,
}
#params
#if VEC
#buffer dy: array<vec4f>, read
#buffer residual: array<vec4f>, read
#buffer dx: array<vec4f>, read_write
#buffer a: array<vec4f>, read
#else
#buffer dy: array<f32>, read
#buffer residual: array<f32>, read
#buffer dx: array<f32>, read_write
#buffer a: array<f32>, read
#endif
#if LORA_VEC
#buffer g: array<vec4f>, read
#else
#buffer g: array<f32>, read
#endif
#include matmul_weight

#if VEC
fn dy4(at: u32, n: u32) -> vec4f { return dy[(p.dy_offset + at * p.dy_stride + n) / 4u]; }
fn w4(n: u32, column: u32) -> vec4f { return weight4((n * p.k + column) / 4u); }
fn a4(j: u32, column: u32) -> vec4f { return a[(p.a_offset + min(j, p.rank - 1u) * p.k + column) / 4u]; }
#else
fn dy4(at: u32, n: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (n + q < p.n) { values[q] = dy[p.dy_offset + at * p.dy_stride + n + q]; } }
  return values;
}
fn w4(n: u32, column: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { values[q] = weight(min(n, p.n - 1u) * p.k + min(column + q, p.k - 1u)); }
  return values;
}
fn a4(j: u32, column: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) {
    values[q] = a[p.a_offset + min(j, p.rank - 1u) * p.k + min(column + q, p.k - 1u)];
  }
  return values;
}
#endif
#if LORA_VEC
fn g4(at: u32, j: u32) -> vec4f { return g[(at * p.rank + j) / 4u]; }
#else
fn g4(at: u32, j: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (j + q < p.rank) { values[q] = g[at * p.rank + j + q]; } }
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
  let row = (tile / p.tiles_k) * $(ROWS)u;
  if (row >= p.m) { return; }
  let last = p.m - 1u;
  let column = (tile % p.tiles_k) * $(4 * LANES)u + 4u * lane;
#if VEC
  let inner = min(column, p.k - 4u);
#else
  let inner = min(column, p.k - 1u);
#endif
#for i 0 ROWS
  let row$i = min(row + $(i)u, last);
  var acc$i = vec4f();
#endfor
#if BROADCAST
#for q 0 LOADS
  let mine$q = min(row + lane + $(q * LANES)u, last);
#endfor
#endif

  let steps = (p.n + 3u) / 4u;
  let total = steps + (p.rank + 3u) / 4u;
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
      let n = 4u * i;
#for c 0 4
      v$c = w4(n + $(c)u, inner);
#endfor
#if BROADCAST
#for q 0 LOADS
      l$q = dy4(mine$q, n);
#endfor
#else
#for i 0 ROWS
      t$i = dy4(row$i, n);
#endfor
#endif
    } else {
      let j = 4u * (i - steps);
#for c 0 4
      v$c = a4(j + $(c)u, inner);
#endfor
#if BROADCAST
#for q 0 LOADS
      l$q = g4(mine$q, j);
#endfor
#else
#for i 0 ROWS
      t$i = g4(row$i, j);
#endfor
#endif
    }
#for i 0 ROWS
#if BROADCAST
    let t$i = subgroupBroadcast(l$(i / LANES), $(i % LANES)u);
#endif
    acc$i += t$i.x * v0 + t$i.y * v1 + t$i.z * v2 + t$i.w * v3;
#endfor
  }

  // Rows past the end repeat the last one: read everything first, then write, and the repeated rows write the same values.
#if VEC
  if (column >= p.k) { return; }
#for i 0 ROWS
  let at$i = (row$i * p.k + column) / 4u;
#endfor
  if (p.has_residual == 1u) {
#for i 0 ROWS
    acc$i += residual[at$i];
#endfor
  }
#if ACCUMULATE
#for i 0 ROWS
  acc$i += dx[at$i];
#endfor
#endif
#for i 0 ROWS
  dx[at$i] = acc$i;
#endfor
#else
#for i 0 ROWS
  if (row + $(i)u < p.m) {
    for (var q = 0u; q < 4u; q++) {
      if (column + q < p.k) {
        let at = row$i * p.k + column + q;
        var value = acc$i[q];
        if (p.has_residual == 1u) { value += residual[at]; }
#if ACCUMULATE
        value += dx[at];
#endif
        dx[at] = value;
      }
    }
  }
#endfor
#endif
}
