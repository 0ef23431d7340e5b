/** [N, C, h, w] as the rows of a feature map, [N · h · w, C]. */
export function toRows(values: ArrayLike<number>, channels: number, pixels: number): Float32Array<ArrayBuffer> {
  const images = values.length / (channels * pixels);
  const rows = new Float32Array(values.length);
  for (let n = 0; n < images; n++) {
    for (let c = 0; c < channels; c++) {
      const from = (n * channels + c) * pixels;
      for (let i = 0; i < pixels; i++) rows[(n * pixels + i) * channels + c] = values[from + i]!;
    }
  }
  return rows;
}

/** The reverse of `toRows`. */
export function fromRows(rows: ArrayLike<number>, channels: number, pixels: number): Float32Array<ArrayBuffer> {
  const images = rows.length / (channels * pixels);
  const values = new Float32Array(rows.length);
  for (let n = 0; n < images; n++) {
    for (let c = 0; c < channels; c++) {
      const to = (n * channels + c) * pixels;
      for (let i = 0; i < pixels; i++) values[to + i] = rows[(n * pixels + i) * channels + c]!;
    }
  }
  return values;
}
