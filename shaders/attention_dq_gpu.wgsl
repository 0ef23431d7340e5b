// dQ = scale · dS K with dS = P ∘ (dO Vᵀ − D), P = exp(S − lse).
struct Params {
  queries: u32, keys: u32, group: u32, scale: f32,
  q_stride: u32, q_offset: u32, k_stride: u32, k_offset: u32, v_stride: u32, v_offset: u32,
  d_stride: u32, d_offset: u32, dq_stride: u32, dq_offset: u32,
}
#params
#buffer q: array<$ELEMENT>, read
#buffer k: array<$ELEMENT>, read
#buffer v: array<$ELEMENT>, read
#buffer d_o: array<$ELEMENT>, read
#buffer stats: array<vec2<f32>>, read
#buffer key_ranges: array<vec2<u32>>, read
#buffer dq: array<$ELEMENT>, read_write
#include attention_tiles
var<workgroup> uniform_bounds: vec2<u32>;

#include attention_fetch NAME=fetch_0 BUFFER=q
#include attention_fetch NAME=fetch_1 BUFFER=k
#include attention_fetch NAME=fetch_2 BUFFER=v
#include attention_fetch NAME=fetch_3 BUFFER=d_o

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let head = group.y;
  let first = group.x * ROWS;
  let x = index % 16u;
  let y = index / 16u;
  let queries = Side(first, p.queries, p.q_stride, p.q_offset + head * $(HEAD_DIM)u);
  let gradients = Side(first, p.queries, p.d_stride, p.d_offset + head * $(HEAD_DIM)u);
  let k_offset = p.k_offset + head / p.group * $(HEAD_DIM)u;
  let v_offset = p.v_offset + head / p.group * $(HEAD_DIM)u;
  var begin: vec4<u32>;
  var end: vec4<u32>;
  var log_sum: vec4<f32>;
  var delta: vec4<f32>;
  for (var i = 0u; i < 4u; i++) {
    let t = first + 4u * y + i;
    if (t < p.queries) {
      let range = key_ranges[t];
      let stat = stats[head * p.queries + t];
      begin[i] = range.x;
      end[i] = range.y;
      log_sum[i] = stat.x;
      delta[i] = stat.y;
    }
  }
  let row = first + index / 4u;
  let found = widest(select(vec2<u32>(), key_ranges[min(row, p.queries - 1u)], row < p.queries), index, p.keys);
  if (index == 0u) { uniform_bounds = found; }
  let limits = workgroupUniformLoad(&uniform_bounds);
  var results: Results;
  for (var key = limits.x; key < limits.y; key += COLUMNS) {
    let keys = Side(key, p.keys, p.k_stride, k_offset);
    let s = product_0_1(queries, keys, index);
    let e = product_3_2(gradients, Side(key, p.keys, p.v_stride, v_offset), index);
    let c0 = vec4<u32>(key + x);
    let c1 = c0 + 16u;
    let p0 = exp2(select(vec4<f32>(MASKED), s.x * (p.scale * LOG2E) - log_sum, (c0 >= begin) & (c0 < end)));
    let p1 = exp2(select(vec4<f32>(MASKED), s.y * (p.scale * LOG2E) - log_sum, (c1 >= begin) & (c1 < end)));
    put_tile(Scores(p0 * (e.x - delta), p1 * (e.y - delta)), index);
    accumulate_1(&results, keys, index);
  }
#for i 0 4
  if (first + 4u * y + $(i)u < p.queries) {
    let out = (first + 4u * y + $(i)u) * p.dq_stride + p.dq_offset + head * $(HEAD_DIM)u;
#for b 0 $BLOCKS
    store(out, $(16 * b)u + x, results[$(4 * b + i)] * p.scale);
#endfor
  }
#endfor
}

fn store(i: u32, c: u32, value: vec4<f32>) {
#if VECTOR == 4
  if (4u * c < $(HEAD_DIM)u) { dq[i / 4u + c] = value; }
#else
  for (var e = 0u; e < 4u; e++) {
    if (4u * c + e < $(HEAD_DIM)u) { dq[i + 4u * c + e] = value[e]; }
  }
#endif
}
