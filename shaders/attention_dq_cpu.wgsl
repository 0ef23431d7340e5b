#if SUBGROUPS
enable subgroups;
// The bounds of the loop are the same in all lanes: minimum and maximum over the subgroup.
diagnostic(off, subgroup_uniformity);
#endif
// dQ = scale · dS K with dS = P ∘ (dO Vᵀ − D), P = exp(S − lse); the layout of attention_forward_cpu.
#include attention_lanes
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
#buffer key_ranges: Ranges, read
#buffer dq: array<$ELEMENT>, read_write

#if VECTOR == 4
fn q_at(i: u32, c: u32) -> vec4<f32> { return q[i / 4u + c]; }
fn k_at(i: u32, c: u32) -> vec4<f32> { return k[i / 4u + c]; }
fn v_at(i: u32, c: u32) -> vec4<f32> { return v[i / 4u + c]; }
fn d_at(i: u32, c: u32) -> vec4<f32> { return d_o[i / 4u + c]; }
fn store(i: u32, c: u32, value: vec4<f32>) { dq[i / 4u + c] = value; }
#else
fn q_at(i: u32, c: u32) -> vec4<f32> {
  let at = i + 4u * c;
  return tail(c, vec4<f32>(q[at], q[at + 1u], q[at + 2u], q[at + 3u]));
}
fn k_at(i: u32, c: u32) -> vec4<f32> {
  let at = i + 4u * c;
  return tail(c, vec4<f32>(k[at], k[at + 1u], k[at + 2u], k[at + 3u]));
}
fn v_at(i: u32, c: u32) -> vec4<f32> {
  let at = i + 4u * c;
  return tail(c, vec4<f32>(v[at], v[at + 1u], v[at + 2u], v[at + 3u]));
}
fn d_at(i: u32, c: u32) -> vec4<f32> {
  let at = i + 4u * c;
  return tail(c, vec4<f32>(d_o[at], d_o[at + 1u], d_o[at + 2u], d_o[at + 3u]));
}
fn store(i: u32, c: u32, value: vec4<f32>) {
  for (var e = 0u; e < 4u; e++) {
    if (4u * c + e < $(HEAD_DIM)u) { dq[i + 4u * c + e] = value[e]; }
  }
}
#endif

@compute @workgroup_size($WG)
#if SUBGROUPS
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
#else
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
#endif
  let head = group.y;
  let first = group.x * $(WG * ROWS)u;
  let head_columns = head * $(HEAD_DIM)u;
#for r 0 $ROWS
  let t$r = first + $(WG * r)u + lane;
  let at$r = min(t$r, p.queries - 1u);
  let range$r = key_ranges[at$r];
  let stat$r = stats[head * p.queries + at$r];
  let query$r = at$r * p.q_stride + p.q_offset + head_columns;
  let grad$r = at$r * p.d_stride + p.d_offset + head_columns;
#endfor
#if QUAD
  var held: array<vec4<f32>, $CHUNKS>;
#endif
#for r 0 $ROWS
  var q$r: array<vec4<f32>, $CHUNKS>;
  var d$r: array<vec4<f32>, $CHUNKS>;
  var a$r: array<vec4<f32>, $CHUNKS>;
#endfor
  var begin = 0xffffffffu;
  var end = 0u;
#if SUBGROUPS
#for r 0 $ROWS
  let empty$r = range$r.x >= range$r.y;
  begin = min(begin, select(range$r.x, 0xffffffffu, empty$r));
  end = max(end, select(range$r.y, 0u, empty$r));
#endfor
  begin = subgroupMin(begin);
  end = subgroupMax(end);
#else
  for (var i = first; i < min(first + $(WG * ROWS)u, p.queries); i++) {
    let range = key_ranges[i];
    if (range.x < range.y) {
      begin = min(begin, range.x);
      end = max(end, range.y);
    }
  }
#endif
  end = min(end, p.keys);
#for r 0 $ROWS
#if LOOP
  for (var base = 0u; base < $(CHUNKS)u; base += $(STEP)u) {
#else
  { const base = 0u;
#endif
#for c 0 $STEP
  q$(r)[base + $(c)u] = q_at(query$r, base + $(c)u) * (p.scale * LOG2E);
  d$(r)[base + $(c)u] = d_at(grad$r, base + $(c)u);
  a$(r)[base + $(c)u] = vec4<f32>();
#endfor
  }
#endfor
  let k_base = p.k_offset + head / p.group * $(HEAD_DIM)u;
  let v_base = p.v_offset + head / p.group * $(HEAD_DIM)u;
  // Out of the loop: a uniform is a load as well.
  let last = p.keys - 1u;
  let k_stride = p.k_stride;
  let v_stride = p.v_stride;
  for (var key = begin; key < end; key += $(BLOCK)u) {
#if QUAD
    let mine = min(key + lane, last);
    let k_mine = mine * k_stride + k_base;
    let v_mine = mine * v_stride + v_base;
#endif
#for j 0 $BLOCK
#if QUAD
    let seen$j = key + ($(j)u ^ lane);
#else
    let seen$j = key + $(j)u;
    let row$j = min(seen$j, last);
    let k_row$j = row$j * k_stride + k_base;
    let v_row$j = row$j * v_stride + v_base;
#endif
#for r 0 $ROWS
    var s$(r)_$j = 0.0;
    var e$(r)_$j = -stat$r.y;
#endfor
#endfor
#if LOOP
  for (var base = 0u; base < $(CHUNKS)u; base += $(STEP)u) {
#else
  { const base = 0u;
#endif
#for c 0 $STEP
#if QUAD
    let kk$c = k_at(k_mine, base + $(c)u);
    held[base + $(c)u] = kk$c;
    let vv$c = v_at(v_mine, base + $(c)u);
#endif
#for j 0 $BLOCK
#if QUAD
    let k$(c)_$j = exchange_$j(kk$c);
    let v$(c)_$j = exchange_$j(vv$c);
#else
    let k$(c)_$j = k_at(k_row$j, base + $(c)u);
    let v$(c)_$j = v_at(v_row$j, base + $(c)u);
#endif
#for r 0 $ROWS
    s$(r)_$j += dot(q$(r)[base + $(c)u], k$(c)_$j);
    e$(r)_$j += dot(d$(r)[base + $(c)u], v$(c)_$j);
#endfor
#endfor
#endfor
  }
#for r 0 $ROWS
#for j 0 $BLOCK
    s$(r)_$j = select(MASKED, s$(r)_$j - stat$r.x, seen$j >= range$r.x && seen$j < range$r.y);
    e$(r)_$j *= exp2(s$(r)_$j);
#endfor
#endfor
#if LOOP
  for (var base = 0u; base < $(CHUNKS)u; base += $(STEP)u) {
#else
  { const base = 0u;
#endif
#for c 0 $STEP
#for r 0 $ROWS
    var sum$(r)_$c = a$(r)[base + $(c)u];
#endfor
#for j 0 $BLOCK
#if QUAD
    let again$(c)_$j = exchange_$j(held[base + $(c)u]);
#else
    let again$(c)_$j = k_at(k_row$j, base + $(c)u);
#endif
#for r 0 $ROWS
    sum$(r)_$c += e$(r)_$j * again$(c)_$j;
#endfor
#endfor
#for r 0 $ROWS
    a$(r)[base + $(c)u] = sum$(r)_$c;
#endfor
#endfor
  }
  }
#for r 0 $ROWS
  if (t$r < p.queries) {
    let out = t$r * p.dq_stride + p.dq_offset + head_columns;
#if LOOP
  for (var base = 0u; base < $(CHUNKS)u; base += $(STEP)u) {
#else
  { const base = 0u;
#endif
#for c 0 $STEP
    store(out, base + $(c)u, a$(r)[base + $(c)u] * p.scale);
#endfor
  }
  }
#endfor
}
