// o = softmax(scale · q kᵀ) v for few queries against many keys: a workgroup a query and head. Of 128 keys at a time each
// invocation scores one; then SPAN neighbouring invocations hold the head's vectors, 128 / SPAN of such teams sharing the keys.
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
#include row_reduce
#include attention_constants
var<workgroup> probabilities: array<f32, $WG>;
var<workgroup> parts: array<vec4<f32>, $WG>;

#include attention_tail
#include attention_read NAME=q BUFFER=q
#include attention_read NAME=k BUFFER=k
#include attention_read NAME=v BUFFER=v

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let t = group.x;
  let head = group.y;
  let range = vec2<u32>(key_ranges[t].x, min(key_ranges[t].y, p.keys));
  let q_row = t * p.q_stride + p.q_offset + head * $(HEAD_DIM)u;
  let k_base = p.k_offset + head / p.group * $(HEAD_DIM)u;
  let v_base = p.v_offset + head / p.group * $(HEAD_DIM)u;
  let c = lane % $(SPAN)u;
  let team = lane / $(SPAN)u;
  var most = FLOOR;
  var sum = 0.0;
  var result = vec4<f32>();
  for (var key = range.x; key < range.y; key += $(WG)u) {
    var score = MASKED;
    if (key + lane < range.y) {
      let row = (key + lane) * p.k_stride + k_base;
      var dots = 0.0;
      for (var i = 0u; i < $(CHUNKS)u; i++) { dots += dot(q_at(q_row, i), k_at(row, i)); }
      score = dots * (p.scale * LOG2E);
#if BIAS
      score += relative(head, t, key + lane);
#endif
    }
    let next = max(most, reduce_max(score, lane));
    let keep = exp2(most - next);
    let probability = exp2(score - next);
    most = next;
    sum = sum * keep + probability;
    // The barriers of reduce_max lie between the last reading of the probabilities and this.
    probabilities[lane] = probability;
    workgroupBarrier();
    result *= keep;
    if (c < $(CHUNKS)u) {
      for (var j = team; j < min($(WG)u, range.y - key); j += $(WG / SPAN)u) {
        result += probabilities[j] * v_at((key + j) * p.v_stride + v_base, c);
      }
    }
  }
  let all = reduce_sum(sum, lane);
  parts[lane] = result;
  workgroupBarrier();
  if (team == 0u && c < $(CHUNKS)u) {
    for (var j = 1u; j < $(WG / SPAN)u; j++) { result += parts[j * $(SPAN)u + c]; }
    result *= select(0.0, 1.0 / all, all > 0.0);
    let out = t * p.o_stride + p.o_offset + head * $(HEAD_DIM)u;
#if VECTOR == 4
    o[out / 4u + c] = result;
#else
    for (var e = 0u; e < 4u; e++) {
      if (4u * c + e < $(HEAD_DIM)u) { o[out + 4u * c + e] = result[e]; }
    }
#endif
  }
#if LSE
  if (lane == 0u) {
    lse[head * p.queries + t] = select(NOTHING, (most + log2(max(all, 1e-30))) * LN2, all > 0.0);
  }
#endif
}
