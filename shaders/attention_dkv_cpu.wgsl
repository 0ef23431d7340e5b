#if SUBGROUPS
enable subgroups;
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
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * $(WG * ROWS)u;
  let head_columns = group.y * $(HEAD_DIM)u;
#for r 0 $ROWS
  let t$r = first + $(WG * r)u + lane;
  let at$r = min(t$r, p.keys - 1u);
  let range$r = query_ranges[at$r];
  let key$r = at$r * p.k_stride + p.k_offset + head_columns;
  let value$r = at$r * p.v_stride + p.v_offset + head_columns;
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
#for c 0 $CHUNKS
  let k$(r)_$c = k_at(key$r, $(c)u) * (p.scale * LOG2E);
  let v$(r)_$c = v_at(value$r, $(c)u);
  var a$(r)_$c = vec4<f32>();
  var b$(r)_$c = vec4<f32>();
#endfor
#endfor
  for (var head = group.y * p.group; head < (group.y + 1u) * p.group; head++) {
    let q_base = p.q_offset + head * $(HEAD_DIM)u;
    let d_base = p.d_offset + head * $(HEAD_DIM)u;
    for (var query = begin; query < end; query += $(BLOCK)u) {
#for j 0 $BLOCK
      let row$j = min(query + $(j)u, p.queries - 1u);
      let q_row$j = row$j * p.q_stride + q_base;
      let d_row$j = row$j * p.d_stride + d_base;
      let stat$j = stats[head * p.queries + row$j];
#for r 0 $ROWS
      var s$(r)_$j = -stat$j.x;
      var e$(r)_$j = -stat$j.y;
#endfor
#endfor
#for c 0 $CHUNKS
#for j 0 $BLOCK
      let q$(c)_$j = q_at(q_row$j, $(c)u);
      let d$(c)_$j = d_at(d_row$j, $(c)u);
#for r 0 $ROWS
      s$(r)_$j += dot(k$(r)_$c, q$(c)_$j);
      e$(r)_$j += dot(v$(r)_$c, d$(c)_$j);
#endfor
#endfor
#endfor
#for r 0 $ROWS
#for j 0 $BLOCK
      s$(r)_$j = exp2(select(MASKED, s$(r)_$j, query + $(j)u >= range$r.x && query + $(j)u < range$r.y));
      e$(r)_$j *= s$(r)_$j;
#endfor
#endfor
#for c 0 $CHUNKS
#for j 0 $BLOCK
#for r 0 $ROWS
      a$(r)_$c += e$(r)_$j * q$(c)_$j;
      b$(r)_$c += s$(r)_$j * d$(c)_$j;
#endfor
#endfor
#endfor
    }
  }
#for r 0 $ROWS
  if (t$r < p.keys) {
    let k_out = t$r * p.dk_stride + p.dk_offset + head_columns;
    let v_out = t$r * p.dv_stride + p.dv_offset + head_columns;
#for c 0 $CHUNKS
    store_k(k_out, $(c)u, a$(r)_$c * p.scale);
    store_v(v_out, $(c)u, b$(r)_$c);
#endfor
  }
#endfor
}
