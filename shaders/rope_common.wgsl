// Heads of a packed [tokens, (heads + 2 kv_heads) · head_dim] matrix (q | k | v): LANES invocations a head, HEAD_NORM with an
// RMS norm over each q and k head, ROPE with rotary embedding of the first 2 · half elements, in pairs (i, i + half).
struct Params { tokens: u32, heads: u32, kv_heads: u32, head_dim: u32, half_q: u32, half_k: u32, half: u32, eps: f32, offset: f32 }
#params
#include vector
#buffer x: array<f32>, read
#if HEAD_NORM
#include stored_weight BUFFER=q_weight
#include stored_weight BUFFER=k_weight
#endif
#if ROPE
#buffer cosines: array<f32>, read
#buffer sines: array<f32>, read
#buffer positions: array<u32>, read
#endif

struct Head { inside: bool, token: u32, head: u32, base: u32, half: u32, sub: u32 }

fn head_of(group: vec3<u32>, lane: u32) -> Head {
  var item = (group.x + group.y * 65535u) * $(WG / LANES)u + lane / $(LANES)u;
  let all = p.heads + 2u * p.kv_heads;
  let inside = item < p.tokens * all;
  item = select(0u, item, inside);
  let token = item / all;
  let head = item - token * all;
  let half = select(select(0u, p.half_k, head < p.heads + p.kv_heads), p.half_q, head < p.heads);
  return Head(inside, token, head, item * p.head_dim, half, lane % $(LANES)u);
}

// (cos, sin) of pair i.
fn turn(h: Head, i: u32) -> vec2<f32> {
#if ROPE
  let at = positions[h.token] * p.half + i;
  return vec2<f32>(cosines[at], sines[at]);
#else
  return vec2<f32>(1.0, 0.0);
#endif
}

#if HEAD_NORM
fn is_normed(h: Head) -> bool { return h.head < p.heads + p.kv_heads; }

fn norm_weight(h: Head, e: u32) -> f32 {
  if (h.head < p.heads) { return q_weight_at(e) + p.offset; }
  if (h.head < p.heads + p.kv_heads) { return k_weight_at(e) + p.offset; }
  return 1.0;
}

#if LANES > 1
var<workgroup> head_scratch: array<f32, $WG>;
#endif

// Sum over the lanes of one head.
fn head_sum(value: f32, lane: u32) -> f32 {
#if LANES > 1
  head_scratch[lane] = value;
  workgroupBarrier();
  for (var half = $(LANES / 2)u; half > 0u; half /= 2u) {
    if (lane % $(LANES)u < half) { head_scratch[lane] += head_scratch[lane + half]; }
    workgroupBarrier();
  }
  let sum = head_scratch[lane - lane % $(LANES)u];
  workgroupBarrier();
  return sum;
#else
  return value;
#endif
}

fn head_rstd(h: Head, lane: u32) -> f32 {
  var squares = 0.0;
  for (var e = h.sub; e < p.head_dim; e += $(LANES)u) {
    let value = x[h.base + e];
    squares += value * value;
  }
  return select(1.0, inverseSqrt(head_sum(squares, lane) / f32(p.head_dim) + p.eps), is_normed(h));
}
#endif
