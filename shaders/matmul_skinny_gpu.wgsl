// The products with a LoRA rank on one side, for graphics cards, f32: out[r,c] = Σ_i u[r,i] · v[c,i]. v is large and read from
// memory; u's eight ranks of TERMS terms lie in workgroup memory. SPLITS invocations share the terms of one column, so that
// few outputs still give work to many; their sums are added at the end in a fixed order. ALONG says whether neighbours in v are
// terms (tokens' activations) or columns (gradients): neighbouring invocations follow it.
#include matmul_skinny_common

var<workgroup> shared_u: array<vec4f, $(2 * TERMS)>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  var part = group.x + group.y * 65535u;
  if (part >= p.tiles) { return; }
#include matmul_skinny_part
  let row = (part / wide) * 8u;
#if ALONG == terms
  let split = index % $(SPLITS)u;
  let column = (part % wide) * $(COLUMNS)u + index / $(SPLITS)u;
#else
  let split = index / $(COLUMNS)u;
  let column = (part % wide) * $(COLUMNS)u + index % $(COLUMNS)u;
#endif
  let base = v_start + min(column, columns - 1u) * p.v_row;
  var acc0 = vec4f();
  var acc1 = vec4f();
  for (var block = 0u; block < terms; block += $(TERMS)u) {
    for (var e = index; e < $(2 * TERMS)u; e += 256u) {
      let i = block + e / 2u;
      var values = vec4f();
      if (i < terms) {
        for (var q = 0u; q < 4u; q++) {
          values[q] = u[u_start + min(row + 4u * (e % 2u) + q, rank - 1u) * p.u_row + i * u_step];
        }
      }
      shared_u[e] = values;
    }
    workgroupBarrier();
    let stop = min(terms, block + $(TERMS)u);
    for (var i = block + split; i < stop; i += $(SPLITS)u) {
      let value = v[base + i * p.v_step];
      acc0 += shared_u[2u * (i - block)] * value;
      acc1 += shared_u[2u * (i - block) + 1u] * value;
    }
    workgroupBarrier();
  }
  // The splits' sums meet in workgroup memory, half of them at a time.
#if ALONG == terms
  let next = 1u;
#else
  let next = $(COLUMNS)u;
#endif
  shared_u[2u * index] = acc0;
  shared_u[2u * index + 1u] = acc1;
  for (var half = $(SPLITS / 2)u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (split < half) {
      shared_u[2u * index] += shared_u[2u * (index + half * next)];
      shared_u[2u * index + 1u] += shared_u[2u * (index + half * next) + 1u];
    }
  }
  if (split > 0u || column >= columns) { return; }
  scale = select(1.0, scale * step.strength, p.scaled == 1u);
  let add = p.adds == 1u && step.accumulate == 1u;
  for (var r = 0u; r < 8u && row + r < rank; r++) {
    let at = start + (row + r) * p.out_row + column * out_column;
    let value = shared_u[2u * index + r / 4u][r % 4u] * scale;
    out[at] = select(value, out[at] + value, add);
  }
}
