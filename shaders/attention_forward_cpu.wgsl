#if SUBGROUPS
enable subgroups;
// The bounds of the loop are the same in all lanes: minimum and maximum over the subgroup.
diagnostic(off, subgroup_uniformity);
#endif
// o = softmax(scale · q kᵀ) v over the keys of each query's range, with a running maximum (Dao 2023, 2307.08691).
#include attention_lanes
struct Params {
  queries: u32, keys: u32, group: u32, scale: f32,
  q_stride: u32, q_offset: u32, k_stride: u32, k_offset: u32, v_stride: u32, v_offset: u32, o_stride: u32, o_offset: u32,
  span: i32,
}
#params
#buffer q: array<$ELEMENT>, read
#buffer k: array<$ELEMENT>, read
#buffer v: array<$ELEMENT>, read
#buffer key_ranges: Ranges, read
#buffer o: array<$ELEMENT>, read_write
#if LSE
#buffer lse: array<f32>, read_write
#endif
#if BIAS
#buffer bias: array<f32>, read
// In powers of two, as the scores.
fn relative(head: u32, query: u32, key: u32) -> f32 {
  return bias[head * u32(2 * p.span + 1) + u32(clamp(i32(key) - i32(query), -p.span, p.span) + p.span)] * LOG2E;
}
#endif

#if VECTOR == 4
fn q_at(i: u32, c: u32) -> vec4<f32> { return q[i / 4u + c]; }
fn k_at(i: u32, c: u32) -> vec4<f32> { return k[i / 4u + c]; }
fn v_at(i: u32, c: u32) -> vec4<f32> { return v[i / 4u + c]; }
fn store(i: u32, c: u32, value: vec4<f32>) { o[i / 4u + c] = value; }
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
fn store(i: u32, c: u32, value: vec4<f32>) {
  for (var e = 0u; e < 4u; e++) {
    if (4u * c + e < $(HEAD_DIM)u) { o[i + 4u * c + e] = value[e]; }
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
#for r 0 $ROWS
  let t$r = first + $(WG * r)u + lane;
  let at$r = min(t$r, p.queries - 1u);
  let range$r = key_ranges[at$r];
  let query$r = at$r * p.q_stride + p.q_offset + head * $(HEAD_DIM)u;
#endfor
#for r 0 $ROWS
  var q$r: array<vec4<f32>, $CHUNKS>;
  var o$r: array<vec4<f32>, $CHUNKS>;
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
  o$(r)[base + $(c)u] = vec4<f32>();
#endfor
  }
  var most$r = FLOOR;
  var sum$r = 0.0;
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
#endif
#for j 0 $BLOCK
#if QUAD
    let k$(c)_$j = exchange_$j(kk$c);
#else
    let k$(c)_$j = k_at(k_row$j, base + $(c)u);
#endif
#for r 0 $ROWS
    s$(r)_$j += dot(q$(r)[base + $(c)u], k$(c)_$j);
#endfor
#endfor
#endfor
  }
#for r 0 $ROWS
    var next$r = most$r;
#for j 0 $BLOCK
#if BIAS
    s$(r)_$j += relative(head, t$r, seen$j);
#endif
    s$(r)_$j = select(MASKED, s$(r)_$j, seen$j >= range$r.x && seen$j < range$r.y);
    next$r = max(next$r, s$(r)_$j);
#endfor
    let keep$r = exp2(most$r - next$r);
    most$r = next$r;
    sum$r *= keep$r;
#for j 0 $BLOCK
    s$(r)_$j = exp2(s$(r)_$j - next$r);
    sum$r += s$(r)_$j;
#endfor
#endfor
#if LOOP
  for (var base = 0u; base < $(CHUNKS)u; base += $(STEP)u) {
#else
  { const base = 0u;
#endif
#for c 0 $STEP
#for r 0 $ROWS
    var sum$(r)_$c = o$(r)[base + $(c)u] * keep$r;
#endfor
#if QUAD
    let vv$c = v_at(v_mine, base + $(c)u);
#endif
#for j 0 $BLOCK
#if QUAD
    let v$(c)_$j = exchange_$j(vv$c);
#else
    let v$(c)_$j = v_at(v_row$j, base + $(c)u);
#endif
#for r 0 $ROWS
    sum$(r)_$c += s$(r)_$j * v$(c)_$j;
#endfor
#endfor
#for r 0 $ROWS
    o$(r)[base + $(c)u] = sum$(r)_$c;
#endfor
#endfor
  }
  }
#for r 0 $ROWS
  if (t$r < p.queries) {
    let inverse = select(0.0, 1.0 / sum$r, sum$r > 0.0);
    let out = t$r * p.o_stride + p.o_offset + head * $(HEAD_DIM)u;
#if LOOP
  for (var base = 0u; base < $(CHUNKS)u; base += $(STEP)u) {
#else
  { const base = 0u;
#endif
#for c 0 $STEP
    store(out, base + $(c)u, o$(r)[base + $(c)u] * inverse);
#endfor
  }
#if LSE
    lse[head * p.queries + t$r] = select(NOTHING, (most$r + log2(max(sum$r, 1e-30))) * LN2, sum$r > 0.0);
#endif
  }
#endfor
}
