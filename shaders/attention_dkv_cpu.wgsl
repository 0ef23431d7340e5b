#if SUBGROUPS
enable subgroups;
// The bounds of the loop are the same in all lanes: minimum and maximum over the subgroup.
diagnostic(off, subgroup_uniformity);
#endif
// dK = scale · dSᵀ Q and dV = Pᵀ dO over the queries that see each key, all heads of a group summed; a lane holds ROWS keys.
// That a query sees a key is decided by the key's query range alone, which is exact where those queries are an interval.
// SHARED: dk and dv are columns of one buffer.
#include attention_lanes
struct Params {
  queries: u32, keys: u32, group: u32, scale: f32,
  q_stride: u32, q_offset: u32, k_stride: u32, k_offset: u32, v_stride: u32, v_offset: u32,
  d_stride: u32, d_offset: u32, dk_stride: u32, dk_offset: u32, dv_stride: u32, dv_offset: u32,
}
#params
#buffer q: array<$ELEMENT>, read
#buffer k: array<$ELEMENT>, read
#buffer v: array<$ELEMENT>, read
#buffer d_o: array<$ELEMENT>, read
#buffer stats: array<vec2<f32>>, read
#buffer query_ranges: Ranges, read
#buffer dk: array<$ELEMENT>, read_write
#if SHARED == 0
#buffer dv: array<$ELEMENT>, read_write
#endif

#if VECTOR == 4
fn q_at(i: u32, c: u32) -> vec4<f32> { return q[i / 4u + c]; }
fn k_at(i: u32, c: u32) -> vec4<f32> { return k[i / 4u + c]; }
fn v_at(i: u32, c: u32) -> vec4<f32> { return v[i / 4u + c]; }
fn d_at(i: u32, c: u32) -> vec4<f32> { return d_o[i / 4u + c]; }
fn store_k(i: u32, c: u32, value: vec4<f32>) { dk[i / 4u + c] = value; }
fn store_v(i: u32, c: u32, value: vec4<f32>) {
#if SHARED
  dk[i / 4u + c] = value;
#else
  dv[i / 4u + c] = value;
#endif
}
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
fn store_k(i: u32, c: u32, value: vec4<f32>) {
  for (var e = 0u; e < 4u; e++) {
    if (4u * c + e < $(HEAD_DIM)u) { dk[i + 4u * c + e] = value[e]; }
  }
}
fn store_v(i: u32, c: u32, value: vec4<f32>) {
  for (var e = 0u; e < 4u; e++) {
    if (4u * c + e < $(HEAD_DIM)u) {
#if SHARED
      dk[i + 4u * c + e] = value[e];
#else
      dv[i + 4u * c + e] = value[e];
#endif
    }
  }
}
#endif

@compute @workgroup_size($WG)
#if SUBGROUPS
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
#else
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
#endif
  let first = group.x * $(WG * ROWS)u;
  let head_columns = group.y * $(HEAD_DIM)u;
#for r 0 $ROWS
  let t$r = first + $(WG * r)u + lane;
  let at$r = min(t$r, p.keys - 1u);
  let range$r = query_ranges[at$r];
  let key$r = at$r * p.k_stride + p.k_offset + head_columns;
  let value$r = at$r * p.v_stride + p.v_offset + head_columns;
#endfor
#if QUAD
  var held_q: array<vec4<f32>, $CHUNKS>;
  var held_d: array<vec4<f32>, $CHUNKS>;
#endif
#for r 0 $ROWS
  var k$r: array<vec4<f32>, $CHUNKS>;
  var v$r: array<vec4<f32>, $CHUNKS>;
  var a$r: array<vec4<f32>, $CHUNKS>;
  var b$r: array<vec4<f32>, $CHUNKS>;
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
  for (var i = first; i < min(first + $(WG * ROWS)u, p.keys); i++) {
    let range = query_ranges[i];
    if (range.x < range.y) {
      begin = min(begin, range.x);
      end = max(end, range.y);
    }
  }
#endif
  end = min(end, p.queries);
#for r 0 $ROWS
#if LOOP
  for (var base = 0u; base < $(CHUNKS)u; base += $(STEP)u) {
#else
  { const base = 0u;
#endif
#for c 0 $STEP
  k$(r)[base + $(c)u] = k_at(key$r, base + $(c)u) * (p.scale * LOG2E);
  v$(r)[base + $(c)u] = v_at(value$r, base + $(c)u);
  a$(r)[base + $(c)u] = vec4<f32>();
  b$(r)[base + $(c)u] = vec4<f32>();
#endfor
  }
#endfor
  // Out of the loop: a uniform is a load as well.
  let last = p.queries - 1u;
  let q_stride = p.q_stride;
  let d_stride = p.d_stride;
  for (var head = group.y * p.group; head < (group.y + 1u) * p.group; head++) {
    let stats_base = head * p.queries;
    let q_base = p.q_offset + head * $(HEAD_DIM)u;
    let d_base = p.d_offset + head * $(HEAD_DIM)u;
    for (var query = begin; query < end; query += $(BLOCK)u) {
#if QUAD
      let mine = min(query + lane, last);
      let q_mine = mine * q_stride + q_base;
      let d_mine = mine * d_stride + d_base;
      let stat = stats[stats_base + mine];
#endif
#for j 0 $BLOCK
#if QUAD
      let seen$j = query + ($(j)u ^ lane);
      let stat$j = exchange_$j(stat.xyxy).xy;
#else
      let seen$j = query + $(j)u;
      let row$j = min(seen$j, last);
      let q_row$j = row$j * q_stride + q_base;
      let d_row$j = row$j * d_stride + d_base;
      let stat$j = stats[stats_base + row$j];
#endif
#for r 0 $ROWS
      var s$(r)_$j = -stat$j.x;
      var e$(r)_$j = -stat$j.y;
#endfor
#endfor
#if LOOP
  for (var base = 0u; base < $(CHUNKS)u; base += $(STEP)u) {
#else
  { const base = 0u;
#endif
#for c 0 $STEP
#if QUAD
      let qq$c = q_at(q_mine, base + $(c)u);
      let dd$c = d_at(d_mine, base + $(c)u);
      held_q[base + $(c)u] = qq$c;
      held_d[base + $(c)u] = dd$c;
#endif
#for j 0 $BLOCK
#if QUAD
      let q$(c)_$j = exchange_$j(qq$c);
      let d$(c)_$j = exchange_$j(dd$c);
#else
      let q$(c)_$j = q_at(q_row$j, base + $(c)u);
      let d$(c)_$j = d_at(d_row$j, base + $(c)u);
#endif
#for r 0 $ROWS
      s$(r)_$j += dot(k$(r)[base + $(c)u], q$(c)_$j);
      e$(r)_$j += dot(v$(r)[base + $(c)u], d$(c)_$j);
#endfor
#endfor
#endfor
  }
#for r 0 $ROWS
#for j 0 $BLOCK
      s$(r)_$j = exp2(select(MASKED, s$(r)_$j, seen$j >= range$r.x && seen$j < range$r.y));
      e$(r)_$j *= s$(r)_$j;
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
      var tally$(r)_$c = b$(r)[base + $(c)u];
#endfor
#for j 0 $BLOCK
#if QUAD
      let qa$(c)_$j = exchange_$j(held_q[base + $(c)u]);
      let da$(c)_$j = exchange_$j(held_d[base + $(c)u]);
#else
      let qa$(c)_$j = q_at(q_row$j, base + $(c)u);
      let da$(c)_$j = d_at(d_row$j, base + $(c)u);
#endif
#for r 0 $ROWS
      sum$(r)_$c += e$(r)_$j * qa$(c)_$j;
      tally$(r)_$c += s$(r)_$j * da$(c)_$j;
#endfor
#endfor
#for r 0 $ROWS
      a$(r)[base + $(c)u] = sum$(r)_$c;
      b$(r)[base + $(c)u] = tally$(r)_$c;
#endfor
#endfor
  }
    }
  }
#for r 0 $ROWS
  if (t$r < p.keys) {
    let k_out = t$r * p.dk_stride + p.dk_offset + head_columns;
    let v_out = t$r * p.dv_stride + p.dv_offset + head_columns;
#if LOOP
  for (var base = 0u; base < $(CHUNKS)u; base += $(STEP)u) {
#else
  { const base = 0u;
#endif
#for c 0 $STEP
    store_k(k_out, base + $(c)u, a$(r)[base + $(c)u] * p.scale);
    store_v(v_out, base + $(c)u, b$(r)[base + $(c)u]);
#endfor
  }
  }
#endfor
}
