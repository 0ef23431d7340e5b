// torch.optim.AdamW (Loshchilov and Hutter 2017, 1711.05101) over flat buffers, the gradient times the clip factor:
//   p ← p·(1 − lr·wd);  m ← β1·m + (1−β1)·g;  v ← β2·v + (1−β2)·g²;  p ← p − lr/bc1 · m / (√v/√bc2 + eps)
// A step whose gradient is not finite changes nothing. The first `slow` values learn at `slow_rate` times the rate.
#include vector
struct Params { count: u32, beta1: f32, beta2: f32, rest1: f32, rest2: f32, eps: f32, weight_decay: f32, slow: u32, slow_rate: f32 }
#params
#step
#buffer weights: array<V>, read_write
#buffer gradients: array<V>, read
#buffer first: array<V>, read_write
#buffer second: array<V>, read_write
#buffer state: array<f32>, read

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * 65535u) * $(WG)u + lane;
  if (i >= p.count || state[2] != 0.0) { return; }
  let g = gradients[i] * state[1];
  let m = p.beta1 * first[i] + p.rest1 * g;
  let v = p.beta2 * second[i] + p.rest2 * g * g;
  first[i] = m;
  second[i] = v;
  let rate = step.learning_rate * select(1.0, p.slow_rate, i < p.slow);
  let decayed = weights[i] * (1.0 - rate * p.weight_decay);
  weights[i] = decayed - rate / step.bias_correction1 * m / (sqrt(v) / sqrt(step.bias_correction2) + p.eps);
}
