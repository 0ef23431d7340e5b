// Steps begin … begin + steps - 1 of an LSTM layer: gates = x[t] + W_hh h[t-1] in the order i, f, g, o, then
// c = σ(f) c + σ(i) tanh(g) and h = σ(o) tanh(c). A team of TEAM neighbouring invocations has one hidden unit: its members
// read neighbouring pieces of the unit's four rows of W_hh, once for CLIPS clips, and their sums meet in workgroup memory.
// WHOLE: one workgroup a clip has all units and goes through all steps, h being in workgroup memory. Else a dispatch is one
// step; h[t-1] is read from `before`, and h[t] written to `after`.
// SIZE and PIECES: H and ⌈H / 4⌉. started: whether `before` and c hold what came before; else that is 0.
struct Params { clips: u32, length: u32, hidden: u32, begin: u32, steps: u32, started: u32 }
#params
#buffer x: array<f32>, read
#include stored_weight BUFFER=w
#if VEC && !WHOLE
#buffer before: array<vec4f>, read
#else
#buffer before: array<f32>, read
#endif
#buffer y: array<f32>, read_write
#buffer after: array<f32>, read_write
#buffer c: array<f32>, read_write
#if TEAM > 1
var<workgroup> sums: array<vec4f, $(WG * CLIPS)>;
#endif
#if WHOLE
var<workgroup> kept: array<f32, $KEPT>;
#endif

fn sigmoid(v: f32) -> f32 { return 1.0 / (1.0 + exp(clamp(-v, -80.0, 80.0))); }
// Past 15 it is 1 in f32; far out some drivers' tanh overflows.
fn bounded_tanh(v: f32) -> f32 { return tanh(clamp(v, -15.0, 15.0)); }

// Elements 4i … 4i+3 of a row of W_hh, and of h[t-1] of a clip; 0 beyond the last.
#if VEC
fn load_w(row: u32, i: u32) -> vec4f { return w_at(row * $PIECES + i); }
#else
fn load_w(row: u32, i: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) { if (4u * i + q < $SIZE) { values[q] = w_at(row * $SIZE + 4u * i + q); } }
  return values;
}
#endif
#if VEC && WHOLE
fn load_h(clip: u32, i: u32) -> vec4f { return vec4f(kept[4u * i], kept[4u * i + 1u], kept[4u * i + 2u], kept[4u * i + 3u]); }
#elif VEC
fn load_h(clip: u32, i: u32) -> vec4f { return before[clip * $PIECES + i]; }
#else
fn load_h(clip: u32, i: u32) -> vec4f {
  var values = vec4f();
  for (var q = 0u; q < 4u; q++) {
    if (4u * i + q < $SIZE) {
#if WHOLE
      values[q] = kept[4u * i + q];
#else
      values[q] = before[clip * $SIZE + 4u * i + q];
#endif
    }
  }
  return values;
}
#endif

fn input_gates(clip: u32, t: u32, unit: u32) -> vec4f {
  let at = (clip * p.length + t) * 4u * $SIZE + unit;
  return vec4f(x[at], x[at + $SIZE], x[at + 2u * $SIZE], x[at + 3u * $SIZE]);
}

fn next_cell(gates: vec4f, cell: f32) -> f32 {
  return sigmoid(gates.y) * cell + sigmoid(gates.x) * bounded_tanh(gates.z);
}

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let part = lane % $(TEAM)u;
  let own_unit = group.x * $(WG / TEAM)u + lane / $(TEAM)u;
  let unit = min(own_unit, $SIZE - 1u);
  let first_clip = group.y * $(CLIPS)u;
#if TEAM > 1
  // A member of the team for each clip, which ends its steps; the clips of a workgroup are no more than the members.
  let clip = first_clip + part;
  let ends = part < $(CLIPS)u && clip < p.clips && own_unit < $SIZE;
  let at = min(clip, p.clips - 1u) * $SIZE + unit;
  var cell = select(0.0, c[at], p.started == 1u);
#else
#for k 0 CLIPS
  let ends$k = first_clip + $(k)u < p.clips && own_unit < $SIZE;
  let at$k = min(first_clip + $(k)u, p.clips - 1u) * $SIZE + unit;
  var cell$k = select(0.0, c[at$k], p.started == 1u);
#endfor
#endif
#for k 0 CLIPS
  let clip$k = min(first_clip + $(k)u, p.clips - 1u);
#endfor
#if WHOLE
  for (var i = lane; i < $SIZE; i += $(WG)u) { kept[i] = select(0.0, before[first_clip * $SIZE + i], p.started == 1u); }
  workgroupBarrier();
#endif
  for (var t = p.begin; t < p.begin + p.steps; t++) {
    // Asked for before the products, so that they need not be waited for after them.
#if TEAM > 1
    let given = input_gates(min(clip, p.clips - 1u), t, unit);
#else
#for k 0 CLIPS
    let given$k = input_gates(clip$k, t, unit);
#endfor
#endif
#for k 0 CLIPS
    var sum$k = vec4f();
#endfor
    if (t > p.begin || p.started == 1u) {
      for (var i = part; i < $PIECES; i += $(TEAM)u) {
        let w0 = load_w(unit, i);
        let w1 = load_w($SIZE + unit, i);
        let w2 = load_w(2u * $SIZE + unit, i);
        let w3 = load_w(3u * $SIZE + unit, i);
#for k 0 CLIPS
        let h$k = load_h(clip$k, i);
        sum$k += vec4f(dot(w0, h$k), dot(w1, h$k), dot(w2, h$k), dot(w3, h$k));
#endfor
      }
    }
#if TEAM > 1
#for k 0 CLIPS
    sums[$(k * WG)u + lane] = sum$k;
#endfor
    for (var half = $(TEAM / 2)u; half > 0u; half /= 2u) {
      workgroupBarrier();
      if (part < half) {
#for k 0 CLIPS
        sums[$(k * WG)u + lane] += sums[$(k * WG)u + lane + half];
#endfor
      }
    }
    workgroupBarrier();
    if (ends) {
      let gates = given + sums[part * $(WG)u + lane - part];
      cell = next_cell(gates, cell);
      let h = sigmoid(gates.w) * bounded_tanh(cell);
      y[(clip * p.length + t) * $SIZE + unit] = h;
#if WHOLE
      kept[unit] = h;
#else
      after[at] = h;
      c[at] = cell;
#endif
    }
#if WHOLE
    workgroupBarrier();
#endif
#else
#if WHOLE
    // All have read h[t-1].
    workgroupBarrier();
#endif
#for k 0 CLIPS
    let gates$k = given$k + sum$k;
    cell$k = next_cell(gates$k, cell$k);
    if (ends$k) {
      let h = sigmoid(gates$k.w) * bounded_tanh(cell$k);
      y[(clip$k * p.length + t) * $SIZE + unit] = h;
#if WHOLE
      kept[unit] = h;
#else
      after[at$k] = h;
      c[at$k] = cell$k;
#endif
    }
#endfor
#if WHOLE
    workgroupBarrier();
#endif
#endif
  }
#if WHOLE
#if TEAM > 1
  if (ends) {
    after[at] = kept[unit];
    c[at] = cell;
  }
#else
  if (ends0) {
    after[at0] = kept[unit];
    c[at0] = cell0;
  }
#endif
#endif
}
