// dK = scale · dSᵀ Q and dV = Pᵀ dO over the queries that see each key, all heads of a group summed; the rows are keys.
// That a query sees a key is decided by the key's query range alone, which is exact where those queries are an interval.
// SHARED: dk and dv are columns of one buffer. The workgroups of one tile of keys share its queries out over `splits` parts;
// each part has rows of its own in dk and dv, to be summed afterwards.
struct Params {
  queries: u32, keys: u32, group: u32, scale: f32,
  q_stride: u32, q_offset: u32, k_stride: u32, k_offset: u32, v_stride: u32, v_offset: u32,
  d_stride: u32, d_offset: u32, dk_stride: u32, dk_offset: u32, dv_stride: u32, dv_offset: u32,
  splits: u32,
}
#params
#buffer q: array<$ELEMENT>, read
#buffer k: array<$ELEMENT>, read
#buffer v: array<$ELEMENT>, read
#buffer d_o: array<$ELEMENT>, read
#buffer stats: array<vec2<f32>>, read
#buffer query_ranges: array<vec2<u32>>, read
#buffer dk: array<$ELEMENT>, read_write
#if SHARED == 0
#buffer dv: array<$ELEMENT>, read_write
#endif
#include attention_tiles
var<workgroup> uniform_bounds: vec2<u32>;

#include attention_fetch NAME=fetch_0 BUFFER=q
#include attention_fetch NAME=fetch_1 BUFFER=k
#include attention_fetch NAME=fetch_2 BUFFER=v
#include attention_fetch NAME=fetch_3 BUFFER=d_o

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let first = group.x * ROWS;
  let x = index % 16u;
  let y = index / 16u;
  let keys = Side(first, p.keys, p.k_stride, p.k_offset + group.y * $(HEAD_DIM)u);
  let values = Side(first, p.keys, p.v_stride, p.v_offset + group.y * $(HEAD_DIM)u);
  var begin: vec4<u32>;
  var end: vec4<u32>;
  for (var i = 0u; i < 4u; i++) {
    let t = first + 4u * y + i;
    if (t < p.keys) {
      let range = query_ranges[t];
      begin[i] = range.x;
      end[i] = range.y;
    }
  }
  let row = first + index / 4u;
  let found = widest(select(vec2<u32>(), query_ranges[min(row, p.keys - 1u)], row < p.keys), index, p.queries);
  if (index == 0u) { uniform_bounds = found; }
  let limits = workgroupUniformLoad(&uniform_bounds);
  let seen = select(limits.y - limits.x, 0u, limits.x >= limits.y);
  let part = (seen + COLUMNS * p.splits - 1u) / (COLUMNS * p.splits) * COLUMNS;
  let part_begin = limits.x + group.z * part;
  let part_end = min(part_begin + part, limits.y);
  var for_keys: Results;
  var for_values: Results;
  for (var head = group.y * p.group; head < (group.y + 1u) * p.group; head++) {
    for (var query = part_begin; query < part_end; query += COLUMNS) {
      let queries = Side(query, p.queries, p.q_stride, p.q_offset + head * $(HEAD_DIM)u);
      let gradients = Side(query, p.queries, p.d_stride, p.d_offset + head * $(HEAD_DIM)u);
      let s = product_1_0(keys, queries, index);
      let e = product_2_3(values, gradients, index);
      let c0 = query + x;
      let c1 = c0 + 16u;
      let stat0 = stats[head * p.queries + min(c0, p.queries - 1u)];
      let stat1 = stats[head * p.queries + min(c1, p.queries - 1u)];
      let p0 = exp2(select(vec4<f32>(MASKED), s.x * (p.scale * LOG2E) - stat0.x, (vec4<u32>(c0) >= begin) & (vec4<u32>(c0) < end)));
      let p1 = exp2(select(vec4<f32>(MASKED), s.y * (p.scale * LOG2E) - stat1.x, (vec4<u32>(c1) >= begin) & (vec4<u32>(c1) < end)));
      put_tile(Scores(p0, p1), index);
      accumulate_3(&for_values, gradients, index);
      workgroupBarrier();
      put_tile(Scores(p0 * (e.x - stat0.y), p1 * (e.y - stat1.y)), index);
      accumulate_0(&for_keys, queries, index);
    }
  }
#for i 0 4
  if (first + 4u * y + $(i)u < p.keys) {
    let t = group.z * p.keys + first + 4u * y + $(i)u;
#for b 0 $BLOCKS
    store(true, t * p.dk_stride + p.dk_offset + group.y * $(HEAD_DIM)u, $(16 * b)u + x, for_keys[$(4 * b + i)] * p.scale);
    store(false, t * p.dv_stride + p.dv_offset + group.y * $(HEAD_DIM)u, $(16 * b)u + x, for_values[$(4 * b + i)]);
#endfor
  }
#endfor
}

fn store(is_key: bool, i: u32, c: u32, value: vec4<f32>) {
#if VECTOR == 4
  if (4u * c < $(HEAD_DIM)u) {
#if SHARED
    dk[i / 4u + c] = value;
#else
    if (is_key) { dk[i / 4u + c] = value; } else { dv[i / 4u + c] = value; }
#endif
  }
#else
  for (var e = 0u; e < 4u; e++) {
    if (4u * c + e < $(HEAD_DIM)u) {
#if SHARED
      dk[i + 4u * c + e] = value[e];
#else
      if (is_key) { dk[i + 4u * c + e] = value[e]; } else { dv[i + 4u * c + e] = value[e]; }
#endif
    }
  }
#endif
}
