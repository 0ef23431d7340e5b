/**
 * -log softmax(x Wᵀ)[label], and its gradient towards x. `terms`: their sizes where the label's probability is 0; where it is
 * nearly 1 both are a difference from 1.
 */
export function headReference(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  labels: Int32Array,
  k: number,
  vocabulary: number,
  scale: number,
) {
  const rows = labels.length;
  const loss = new Float64Array(rows);
  const dx = new Float64Array(rows * k);
  const squares = { loss: 0, dx: 0 };
  for (let t = 0; t < rows; t++) {
    if (labels[t]! < 0) continue;
    squares.loss++;
    for (let i = 0; i < k; i++) squares.dx += (scale * w[labels[t]! * k + i]!) ** 2;
    const logits = Float64Array.from({ length: vocabulary }, (_, v) => {
      let sum = 0;
      for (let i = 0; i < k; i++) sum += x[t * k + i]! * w[v * k + i]!;
      return sum;
    });
    const most = logits.reduce((a, b) => Math.max(a, b));
    const total = most + Math.log(logits.reduce((sum, value) => sum + Math.exp(value - most), 0));
    loss[t] = total - logits[labels[t]!]!;
    logits.forEach((value, v) => {
      const d = scale * (Math.exp(value - total) - Number(v === labels[t]));
      for (let i = 0; i < k; i++) dx[t * k + i]! += d * w[v * k + i]!;
    });
  }
  return { loss, dx, terms: { loss: Math.sqrt(squares.loss), dx: Math.sqrt(squares.dx) } };
}
