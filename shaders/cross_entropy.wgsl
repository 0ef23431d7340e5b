// loss = logsumexp(logits) − logits[label], one workgroup a row, and in place of the logits their gradient
// (softmax − onehot) · loss_scale. One pass finds the maximum and the sum of exponentials together (Milakov and
// Gimelshein 2018, 1805.02867), four logits at a time. Rows with label −100 (any negative one) have loss and gradient 0.
// WEIGHTED: a row's loss and gradient are multiplied by its weight, and the gradient goes to dx, the logits staying as they are.
#if REDUCE == subgroup
enable subgroups;
#endif
#include row_reduce
// first: where this chunk's rows begin in labels and loss. blocks: ceil(vocabulary / 4).
struct Params { rows: u32, vocabulary: u32, blocks: u32, first: u32 }
#params
#if GRADIENT
#step
#endif
#if GRADIENT && !WEIGHTED
#buffer logits: array<$ELEMENT>, read_write
#else
#buffer logits: array<$ELEMENT>, read
#endif
#if WEIGHTED
#buffer weights: array<f32>, read
#if GRADIENT
#buffer dx: array<$ELEMENT>, read_write
#endif
#endif
#buffer labels: array<i32>, read
#buffer loss: array<f32>, read_write

const LOWEST = -1e30;

// Block i of a row: four neighbours where rows are aligned, else four single ones, the missing ones lowest.
fn block(row: u32, i: u32) -> vec4<f32> {
#if VECTOR == 4
  return logits[row * p.blocks + i];
#else
  var values = vec4<f32>(LOWEST);
  for (var c = 0u; c < 4u; c++) {
    if (4u * i + c < p.vocabulary) { values[c] = logits[row * p.vocabulary + 4u * i + c]; }
  }
  return values;
#endif
}

fn logit(row: u32, column: u32) -> f32 {
#if VECTOR == 4
  return logits[row * p.blocks + column / 4u][column % 4u];
#else
  return logits[row * p.vocabulary + column];
#endif
}

#if GRADIENT
fn store_block(row: u32, i: u32, values: vec4<f32>) {
#if VECTOR == 4
  $INTO[row * p.blocks + i] = values;
#else
  for (var c = 0u; c < 4u; c++) {
    if (4u * i + c < p.vocabulary) { $INTO[row * p.vocabulary + 4u * i + c] = values[c]; }
  }
#endif
}
#endif

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * 65535u;
  if (row >= p.rows) { return; }
  let label = labels[p.first + row];
  var most = LOWEST;
  var sum = 0.0;
  for (var i = lane; i < p.blocks; i += $(WG)u) {
    let values = block(row, i);
    let next = max(most, max(max(values.x, values.y), max(values.z, values.w)));
    sum = sum * exp(most - next) + dot(exp(values - next), vec4<f32>(1.0));
    most = next;
  }
  let row_most = reduce_max(most, lane);
  let row_sum = reduce_sum(sum * exp(most - row_most), lane);
  let log_sum = row_most + log(row_sum);
  // The lane that holds the label's logit reads it, before it overwrites it.
  let owns = label >= 0 && (u32(label) / 4u) % $(WG)u == lane;
  if (owns) {
#if WEIGHTED
    loss[p.first + row] = weights[p.first + row] * (log_sum - logit(row, u32(label)));
#else
    loss[p.first + row] = log_sum - logit(row, u32(label));
#endif
  } else if (label < 0 && lane == 0u) {
    loss[p.first + row] = 0.0;
  }
#if GRADIENT
#if WEIGHTED
  let scale = select(step.loss_scale * weights[p.first + row], 0.0, label < 0);
#else
  let scale = select(step.loss_scale, 0.0, label < 0);
#endif
  for (var i = lane; i < p.blocks; i += $(WG)u) {
    store_block(row, i, exp(block(row, i) - log_sum) * scale);
  }
  if (owns) {
#if VECTOR == 4
    $INTO[row * p.blocks + u32(label) / 4u][u32(label) % 4u] -= scale;
#else
    $INTO[row * p.vocabulary + u32(label)] -= scale;
#endif
  }
#endif
}
