// exp(x) - 1 on V. Near 0, where the difference would keep no digits, the series of Taylor up to x⁸: beyond 0.5 either way the
// rest of it is larger than the rounding of the difference.
fn expm1(x: V) -> V {
  let t = clamp(x, V(-0.5), V(0.5));
  let near = t * (1.0 + t * (0.5 + t * (0.16666667 + t * (0.041666668 + t * (0.008333334 + t * (0.0013888889 + t * (0.00019841270 + t * 0.000024801588)))))));
  return select(exp(x) - V(1.0), near, abs(x) < V(0.5));
}
