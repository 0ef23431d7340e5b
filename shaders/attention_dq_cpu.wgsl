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

#include attention_read NAME=q BUFFER=q
#include attention_read NAME=k BUFFER=k
#include attention_read NAME=v BUFFER=v
#include attention_read NAME=d BUFFER=d_o
#include attention_store NAME=store BUFFER=dq

#include attention_lanes_main
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
#include attention_lanes_bounds RANGES=key_ranges ROWS_OF=queries OTHERS=keys
#for r 0 $ROWS
#include attention_lanes_chunks
#for c 0 $STEP
  q$(r)[base + $(c)u] = q_at(query$r, base + $(c)u) * (p.scale * LOG2E);
  d$(r)[base + $(c)u] = d_at(grad$r, base + $(c)u);
  a$(r)[base + $(c)u] = vec4<f32>();
#endfor
  }
#endfor
#include attention_lanes_keys
#for j 0 $BLOCK
#include attention_lanes_key
#for r 0 $ROWS
    var s$(r)_$j = 0.0;
    var e$(r)_$j = -stat$r.y;
#endfor
#endfor
#include attention_lanes_chunks
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
#include attention_lanes_chunks
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
#include attention_lanes_chunks
#for c 0 $STEP
    store(out, base + $(c)u, a$(r)[base + $(c)u] * p.scale);
#endfor
  }
  }
#endfor
}
