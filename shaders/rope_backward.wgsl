// The rotation's transpose, then the norm's gradient: with g the gradient after the norm, dx = rstd·(w·g − x·rstd²/d·Σ(w·g·x)).
// Without HEAD_NORM the forward input is not needed, and x is the incoming gradient.
#include rope_common
#if HEAD_NORM
#buffer dy: array<f32>, read
#endif
#buffer dx: array<f32>, read_write

fn incoming(i: u32) -> f32 {
#if HEAD_NORM
  return dy[i];
#else
  return x[i];
#endif
}

// Gradients of pair i's two elements before the rotation.
fn turned_back(h: Head, i: u32) -> vec2<f32> {
  let a = incoming(h.base + i);
  let b = incoming(h.base + i + h.half);
  let cs = turn(h, i);
  return vec2<f32>(a * cs.x + b * cs.y, b * cs.x - a * cs.y);
}

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let h = head_of(group, lane);
#if HEAD_NORM
  let rstd = head_rstd(h, lane);
  var projection = 0.0;
  for (var i = h.sub; i < h.half; i += $(LANES)u) {
    let g = turned_back(h, i);
    projection += g.x * norm_weight(h, i) * x[h.base + i] + g.y * norm_weight(h, i + h.half) * x[h.base + i + h.half];
  }
  for (var e = 2u * h.half + h.sub; e < p.head_dim; e += $(LANES)u) {
    projection += incoming(h.base + e) * norm_weight(h, e) * x[h.base + e];
  }
  let along = select(0.0, head_sum(projection, lane) / f32(p.head_dim) * rstd * rstd, is_normed(h));
#endif
  if (!h.inside) { return; }
  for (var i = h.sub; i < h.half; i += $(LANES)u) {
    let g = turned_back(h, i);
#if HEAD_NORM
    dx[h.base + i] = rstd * (g.x * norm_weight(h, i) - x[h.base + i] * along);
    dx[h.base + i + h.half] = rstd * (g.y * norm_weight(h, i + h.half) - x[h.base + i + h.half] * along);
#else
    dx[h.base + i] = g.x;
    dx[h.base + i + h.half] = g.y;
#endif
  }
  for (var e = 2u * h.half + h.sub; e < p.head_dim; e += $(LANES)u) {
#if HEAD_NORM
    dx[h.base + e] = rstd * (incoming(h.base + e) * norm_weight(h, e) - x[h.base + e] * along);
#else
    dx[h.base + e] = incoming(h.base + e);
#endif
  }
}
