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
#include attention_bias

#include attention_read NAME=q BUFFER=q
#include attention_read NAME=k BUFFER=k
#include attention_read NAME=v BUFFER=v
#include attention_store NAME=store BUFFER=o

#include attention_lanes_main
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
#include attention_lanes_bounds RANGES=key_ranges ROWS_OF=queries OTHERS=keys
#for r 0 $ROWS
#include attention_lanes_chunks
#for c 0 $STEP
  q$(r)[base + $(c)u] = q_at(query$r, base + $(c)u) * (p.scale * LOG2E);
  o$(r)[base + $(c)u] = vec4<f32>();
#endfor
  }
  var most$r = FLOOR;
  var sum$r = 0.0;
#endfor
#include attention_lanes_keys
#for j 0 $BLOCK
#include attention_lanes_key
#for r 0 $ROWS
    var s$(r)_$j = 0.0;
#endfor
#endfor
#include attention_lanes_chunks
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
#include attention_lanes_chunks
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
#include attention_lanes_chunks
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
