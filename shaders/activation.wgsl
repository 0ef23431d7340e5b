// activate(x) and its derivative activate_grad(x) on V, chosen by ACTIVATION. exp gets bounded arguments, since WGSL
// may assume that nothing overflows.
fn sigmoid(x: V) -> V {
  return V(1.0) / (V(1.0) + exp(clamp(-x, V(-80.0), V(80.0))));
}
#if ACTIVATION == silu
fn activate(x: V) -> V { return x * sigmoid(x); }
fn activate_grad(x: V) -> V {
  let s = sigmoid(x);
  return s * (V(1.0) + x * (V(1.0) - s));
}
#elif ACTIVATION == gelu
// erf by Abramowitz and Stegun 7.1.26, absolute error under 1.5e-7.
fn normal_cdf(x: V) -> V {
  let z = abs(x) * 0.70710678;
  let t = V(1.0) / (V(1.0) + 0.3275911 * z);
  let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let tail = 0.5 * poly * exp(-min(z * z, V(80.0)));
  return select(V(1.0) - tail, tail, x < V(0.0));
}
fn activate(x: V) -> V { return x * normal_cdf(x); }
fn activate_grad(x: V) -> V {
  return normal_cdf(x) + x * 0.39894228 * exp(-min(0.5 * x * x, V(80.0)));
}
#elif ACTIVATION == gelu_tanh
// (1 + tanh u) / 2 is sigmoid(2u); 1.59576912 = 2·√(2/π).
fn activate(x: V) -> V { return x * sigmoid(1.59576912 * (x + 0.044715 * x * x * x)); }
fn activate_grad(x: V) -> V {
  let z = 1.59576912 * (x + 0.044715 * x * x * x);
  let e = exp(-min(abs(z), V(80.0)));
  return sigmoid(z) + x * 1.59576912 * (V(1.0) + 0.134145 * x * x) * e / ((V(1.0) + e) * (V(1.0) + e));
}
#elif ACTIVATION == relu
fn activate(x: V) -> V { return max(x, V(0.0)); }
fn activate_grad(x: V) -> V { return select(V(0.0), V(1.0), x > V(0.0)); }
#endif
