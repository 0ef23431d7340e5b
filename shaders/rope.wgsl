// y = rope(norm(q)) | rope(norm(k)) | v; see rope_common (Su et al. 2021, 2104.09864, in the half-split layout of the hub).
#include rope_common
#buffer y: array<f32>, read_write

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let h = head_of(group, lane);
#if HEAD_NORM
  let rstd = head_rstd(h, lane);
#endif
  if (!h.inside) { return; }
  for (var i = h.sub; i < h.half; i += $(LANES)u) {
    var a = x[h.base + i];
    var b = x[h.base + i + h.half];
#if HEAD_NORM
    a *= rstd * norm_weight(h, i);
    b *= rstd * norm_weight(h, i + h.half);
#endif
    let cs = turn(h, i);
    y[h.base + i] = a * cs.x - b * cs.y;
    y[h.base + i + h.half] = b * cs.x + a * cs.y;
  }
  for (var e = 2u * h.half + h.sub; e < p.head_dim; e += $(LANES)u) {
    var a = x[h.base + e];
#if HEAD_NORM
    a *= rstd * norm_weight(h, e);
#endif
    y[h.base + e] = a;
  }
}
