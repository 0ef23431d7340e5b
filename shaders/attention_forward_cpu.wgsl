#if SUBGROUPS
enable subgroups;
#endif
// o = softmax(scale · q kᵀ) v over the keys of each query's range, with a running maximum (Dao 2023, 2307.08691).
#include attention_lanes
struct Params {
  queries: u32, keys: u32, group: u32, scale: f32,
  q_stride: u32, q_offset: u32, k_stride: u32, k_offset: u32, v_stride: u32, v_offset: u32, o_stride: u32, o_offset: u32,
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
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let head = group.y;
  let first = group.x * $(WG * ROWS)u;
#for r 0 $ROWS
  let t$r = first + $(WG * r)u + lane;
  let at$r = min(t$r, p.queries - 1u);
  let range$r = key_ranges[at$r];
  let query$r = at$r * p.q_stride + p.q_offset + head * $(HEAD_DIM)u;
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
#for c 0 $CHUNKS
  let q$(r)_$c = q_at(query$r, $(c)u) * (p.scale * LOG2E);
  var o$(r)_$c = vec4<f32>();
#endfor
  var most$r = FLOOR;
  var sum$r = 0.0;
#endfor
  let k_base = p.k_offset + head / p.group * $(HEAD_DIM)u;
  let v_base = p.v_offset + head / p.group * $(HEAD_DIM)u;
  for (var key = begin; key < end; key += $(BLOCK)u) {
#for j 0 $BLOCK
    let row$j = min(key + $(j)u, p.keys - 1u);
    let k_row$j = row$j * p.k_stride + k_base;
    let v_row$j = row$j * p.v_stride + v_base;
#for r 0 $ROWS
    var s$(r)_$j = 0.0;
#endfor
#endfor
#for c 0 $CHUNKS
#for j 0 $BLOCK
    let k$(c)_$j = k_at(k_row$j, $(c)u);
#for r 0 $ROWS
    s$(r)_$j += dot(q$(r)_$c, k$(c)_$j);
#endfor
#endfor
#endfor
#for r 0 $ROWS
    var next$r = most$r;
#for j 0 $BLOCK
    s$(r)_$j = select(MASKED, s$(r)_$j, key + $(j)u >= range$r.x && key + $(j)u < range$r.y);
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
#for c 0 $CHUNKS
#for r 0 $ROWS
    o$(r)_$c *= keep$r;
#endfor
#for j 0 $BLOCK
    let v$(c)_$j = v_at(v_row$j, $(c)u);
#for r 0 $ROWS
    o$(r)_$c += s$(r)_$j * v$(c)_$j;
#endfor
#endfor
#endfor
  }
#for r 0 $ROWS
  if (t$r < p.queries) {
    let inverse = select(0.0, 1.0 / sum$r, sum$r > 0.0);
    let out = t$r * p.o_stride + p.o_offset + head * $(HEAD_DIM)u;
#for c 0 $CHUNKS
    store(out, $(c)u, o$(r)_$c * inverse);
#endfor
#if LSE
    lse[head * p.queries + t$r] = select(NOTHING, (most$r + log2(max(sum$r, 1e-30))) * LN2, sum$r > 0.0);
#endif
  }
#endfor
}
