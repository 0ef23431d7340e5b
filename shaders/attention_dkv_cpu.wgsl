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

#include attention_read NAME=q BUFFER=q
#include attention_read NAME=k BUFFER=k
#include attention_read NAME=v BUFFER=v
#include attention_read NAME=d BUFFER=d_o
#include attention_store NAME=store_k BUFFER=dk
#if SHARED
#include attention_store NAME=store_v BUFFER=dk
#else
#include attention_store NAME=store_v BUFFER=dv
#endif

#include attention_lanes_main
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
#include attention_lanes_bounds RANGES=query_ranges ROWS_OF=keys OTHERS=queries
#for r 0 $ROWS
#include attention_lanes_chunks
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
#include attention_lanes_chunks
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
#include attention_lanes_chunks
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
#include attention_lanes_chunks
#for c 0 $STEP
    store_k(k_out, base + $(c)u, a$(r)[base + $(c)u] * p.scale);
    store_v(v_out, base + $(c)u, b$(r)[base + $(c)u]);
#endfor
  }
  }
#endfor
}
