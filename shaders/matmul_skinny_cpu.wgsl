#if BROADCAST
enable subgroups;
#endif
// The products with a LoRA rank on one side, for software adapters, f32: out[r,c] = Σ_i u[r,i] · v[c,i], r the ranks and c
// the tokens (h, g) or a layer's columns (dA, dB). Every operand has its own strides, so that one pipeline serves all four. The tile
// is that of matmul_linear_cpu: ROWS ranks, four columns a lane. The work comes in up to four segments, one for each layer.
#include matmul_skinny_common

#include matmul_lanes_main
  var part = group.x + group.y * 65535u;
  if (part >= p.tiles) { return; }
#include matmul_skinny_part
  let row = (part / wide) * $(ROWS)u;
  let column = (part % wide) * $(4 * LANES)u + lane;
  let u_row = p.u_row;
  let v_row = p.v_row;
  let v_step = p.v_step;
#for c 0 4
  let v_base$c = v_start + min(column + $(c * LANES)u, columns - 1u) * v_row;
#endfor
#include matmul_lanes_zero
#for q 0 LOADS
#if BROADCAST
  let u_base$q = u_start + min(row + lane + $(q * LANES)u, rank - 1u) * u_row;
#else
  let u_base$q = u_start + min(row + $(q)u, rank - 1u) * u_row;
#endif
#endfor
  let end = terms - 1u;
  for (var i = 0u; i < terms; i += 4u) {
    // Past the last term the last one is read again, times 0.
    let at = min(vec4u(i, i + 1u, i + 2u, i + 3u), vec4u(end));
    let mask = select(vec4f(), vec4f(1.0), vec4u(i, i + 1u, i + 2u, i + 3u) < vec4u(terms));
    let u_at = at * u_step;
    let v_at = at * v_step;
#for c 0 4
    let v$c = vec4f(v[v_base$c + v_at.x], v[v_base$c + v_at.y], v[v_base$c + v_at.z], v[v_base$c + v_at.w]);
#endfor
#for q 0 LOADS
    let l$q = mask * vec4f(u[u_base$q + u_at.x], u[u_base$q + u_at.y], u[u_base$q + u_at.z], u[u_base$q + u_at.w]);
#endfor
#include matmul_multiply
  }

  scale = select(1.0, scale * step.strength, p.scaled == 1u);
  let add = p.adds == 1u && step.accumulate == 1u;
#include matmul_lanes_sums
  let out_row = p.out_row;
  for (var i = 0u; i < $(ROWS)u; i++) {
#include matmul_lanes_row
    if (at_row >= rank) { continue; }
    let values = sums[i] * scale;
    for (var c = 0u; c < 4u; c++) {
      let inner = column + c * $(LANES)u;
      if (inner < columns) {
        let at = start + at_row * out_row + inner * out_column;
        let value = values[c];
        out[at] = select(value, out[at] + value, add);
      }
    }
  }
}
