// erf on V, absolute error under 1.6e-7 in f32: up to 1 an odd polynomial, beyond it 1 - 2^q(|x|) with q fitted to log2 erfc
// (both minimax fits); past 4 it is 1 to the last bit.
fn erf(x: V) -> V {
  let s = min(x * x, V(1.0));
  let near = x + x * (0.1283788681 + s * (-0.376119405 + s * (0.1127806455 + s * (-0.026663810 + s * (0.0048707034 + s * -0.00054629287)))));
  let t = min(abs(x), V(4.0));
  let q = -0.0038544764 + t * (-1.6121228933 + t * (-0.9442281127 + t * (-0.1278719902 + t * (0.0213202890 + t * -0.0016597041))));
  return select(sign(x) * (V(1.0) - exp2(q)), near, abs(x) < V(1.0));
}
