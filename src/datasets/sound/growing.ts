/** Numbers of which nobody knows how many will come: four bytes each, in pieces, so that nothing is copied as they grow. */
export class GrowingFloats {
  static readonly #PIECE = 1 << 14;
  readonly #pieces: Float32Array<ArrayBuffer>[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    const at = this.#length % GrowingFloats.#PIECE;
    if (at === 0) this.#pieces.push(new Float32Array(GrowingFloats.#PIECE));
    this.#pieces.at(-1)![at] = value;
    this.#length++;
  }

  /** All of them in one array. */
  array(): Float32Array<ArrayBuffer> {
    const all = new Float32Array(this.#length);
    this.#pieces.forEach((piece, i) => {
      const at = i * GrowingFloats.#PIECE;
      all.set(piece.subarray(0, Math.min(piece.length, this.#length - at)), at);
    });
    return all;
  }
}
