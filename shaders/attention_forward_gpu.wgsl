// o = softmax(scale · q kᵀ) v over the keys of each query's range, with a running maximum (Dao 2023, 2307.08691).
struct Params {
  queries: u32, keys: u32, group: u32, scale: f32,
  q_stride: u32, q_offset: u32, k_stride: u32, k_offset: u32, v_stride: u32, v_offset: u32, o_stride: u32, o_offset: u32,
  span: i32,
}
#params
#buffer q: array<$ELEMENT>, read
#buffer k: array<$ELEMENT>, read
#buffer v: array<$ELEMENT>, read
#buffer key_ranges: array<vec2<u32>>, read
#buffer o: array<$ELEMENT>, read_write
#if LSE
#buffer lse: array<f32>, read_write
#endif
#include attention_bias
#include attention_tiles
var<workgroup> uniform_bounds: vec2<u32>;

#include attention_fetch NAME=fetch_0 BUFFER=q
#include attention_fetch NAME=fetch_1 BUFFER=k
#include attention_fetch NAME=fetch_2 BUFFER=v

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let head = group.y;
  let first = group.x * ROWS;
  let queries = Side(first, p.queries, p.q_stride, p.q_offset + head * $(HEAD_DIM)u);
  let k_offset = p.k_offset + head / p.group * $(HEAD_DIM)u;
  let v_offset = p.v_offset + head / p.group * $(HEAD_DIM)u;
  let x = index % 16u;
  let y = index / 16u;
  var begin: vec4<u32>;
  var end: vec4<u32>;
  for (var i = 0u; i < 4u; i++) {
    let t = first + 4u * y + i;
    if (t < p.queries) {
      let range = key_ranges[t];
      begin[i] = range.x;
      end[i] = range.y;
    }
  }
  let row = first + index / 4u;
  let found = widest(select(vec2<u32>(), key_ranges[min(row, p.queries - 1u)], row < p.queries), index, p.keys);
  if (index == 0u) { uniform_bounds = found; }
  let limits = workgroupUniformLoad(&uniform_bounds);
  var results: Results;
  // Of four rows: the maximum is the same in all 16 invocations that share them, the sum is over the own columns until the end.
  var most = vec4<f32>(FLOOR);
  var sum = vec4<f32>();
  for (var key = limits.x; key < limits.y; key += COLUMNS) {
    let s = product_0_1(queries, Side(key, p.keys, p.k_stride, k_offset), index);
    let c0 = vec4<u32>(key + x);
    let c1 = c0 + 16u;
    var scaled = Scores(s.x * (p.scale * LOG2E), s.y * (p.scale * LOG2E));
#if BIAS
    // Neighbouring invocations read neighbouring columns of the bias, and those of one row the same few lines.
    for (var i = 0u; i < 4u; i++) {
      scaled.x[i] += relative(head, first + 4u * y + i, key + x);
      scaled.y[i] += relative(head, first + 4u * y + i, key + x + 16u);
    }
#endif
    let s0 = select(vec4<f32>(MASKED), scaled.x, (c0 >= begin) & (c0 < end));
    let s1 = select(vec4<f32>(MASKED), scaled.y, (c1 >= begin) & (c1 < end));
    workgroupBarrier();
    stage[index] = max(s0, s1);
    workgroupBarrier();
    var next = most;
    for (var i = 0u; i < 16u; i++) { next = max(next, stage[16u * y + i]); }
    let keep = exp2(most - next);
    let probabilities = Scores(exp2(s0 - next), exp2(s1 - next));
    most = next;
    sum = sum * keep + probabilities.x + probabilities.y;
    put_tile(probabilities, index);
#for b 0 $BLOCKS
#for i 0 4
    results[$(4 * b + i)] *= keep[$i];
#endfor
#endfor
    accumulate_2(&results, Side(key, p.keys, p.v_stride, v_offset), index);
  }
  workgroupBarrier();
  stage[index] = sum;
  workgroupBarrier();
  var all = vec4<f32>();
  for (var i = 0u; i < 16u; i++) { all += stage[16u * y + i]; }
#for i 0 4
  if (first + 4u * y + $(i)u < p.queries) {
    let t = first + 4u * y + $(i)u;
    let out = t * p.o_stride + p.o_offset + head * $(HEAD_DIM)u;
    let inverse = select(0.0, 1.0 / all[$i], all[$i] > 0.0);
#for b 0 $BLOCKS
    store(out, $(16 * b)u + x, results[$(4 * b + i)] * inverse);
#endfor
#if LSE
    if (x == 0u) {
      lse[head * p.queries + t] = select(NOTHING, (most[$i] + log2(max(all[$i], 1e-30))) * LN2, all[$i] > 0.0);
    }
#endif
  }
#endfor
}

fn store(i: u32, c: u32, value: vec4<f32>) {
#if VECTOR == 4
  if (4u * c < $(HEAD_DIM)u) { o[i / 4u + c] = value; }
#else
  for (var e = 0u; e < 4u; e++) {
    if (4u * c + e < $(HEAD_DIM)u) { o[i + 4u * c + e] = value[e]; }
  }
#endif
}
