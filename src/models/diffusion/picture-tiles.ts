/** A side cut into tiles of one size that overlap: each tile's first element, ascending. */
export function tileStarts(length: number, tile: number, overlap: number): number[] {
  if (!(overlap >= 0 && overlap < tile)) throw new RangeError(`tiles of ${tile} that overlap by ${overlap}`);
  if (length <= tile) return [0];
  const count = Math.ceil((length - overlap) / (tile - overlap));
  // Spread evenly, so that all tiles are of one size and every seam has at least the overlap.
  return Array.from({ length: count }, (_, i) => Math.round((i * (length - tile)) / (count - 1)));
}

export interface Tile {
  top: number;
  left: number;
  height: number;
  width: number;
}

/** The tiles of a picture, all of one size: at most `tile` a side, overlapping by at least `overlap`. */
export function tilesOf({ height, width }: { height: number; width: number }, tile: number, overlap: number): Tile[] {
  const size = { height: Math.min(height, tile), width: Math.min(width, tile) };
  return tileStarts(height, tile, overlap).flatMap((top) =>
    tileStarts(width, tile, overlap).map((left) => ({ top, left, ...size })),
  );
}

/** A part of [C, height, width]. */
export function cutTile(
  values: ArrayLike<number>,
  channels: number,
  size: { height: number; width: number },
  tile: Tile,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(channels * tile.height * tile.width);
  let at = 0;
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < tile.height; y++) {
      const from = (c * size.height + tile.top + y) * size.width + tile.left;
      for (let x = 0; x < tile.width; x++) out[at++] = values[from + x]!;
    }
  }
  return out;
}

/** How much an element counts: rising from the tile's edge over the overlap, where another tile lies beyond it. */
function ramp(at: number, length: number, overlap: number, open: { before: boolean; after: boolean }): number {
  const before = open.before ? (at + 0.5) / overlap : 1;
  const after = open.after ? (length - at - 0.5) / overlap : 1;
  return Math.min(1, before, after);
}

/**
 * Puts tiles together into [C, height, width]; where they overlap they fade into each other. Holds one picture and its
 * weights, never all tiles.
 */
export class TileCanvas {
  readonly #size: { height: number; width: number };
  readonly #channels: number;
  readonly #sum: Float32Array<ArrayBuffer>;
  readonly #weight: Float32Array<ArrayBuffer>;
  readonly #overlap: number;

  constructor(channels: number, size: { height: number; width: number }, overlap: number) {
    this.#channels = channels;
    this.#size = size;
    this.#overlap = Math.max(1, overlap);
    this.#sum = new Float32Array(channels * size.height * size.width);
    this.#weight = new Float32Array(size.height * size.width);
  }

  /** @param values rows of a feature map, [tile.height · tile.width, C] */
  add(tile: Tile, values: ArrayLike<number>): void {
    const { height, width } = this.#size;
    for (let y = 0; y < tile.height; y++) {
      const vertical = { before: tile.top > 0, after: tile.top + tile.height < height };
      const down = ramp(y, tile.height, this.#overlap, vertical);
      for (let x = 0; x < tile.width; x++) {
        const horizontal = { before: tile.left > 0, after: tile.left + tile.width < width };
        const weight = down * ramp(x, tile.width, this.#overlap, horizontal);
        const pixel = (tile.top + y) * width + tile.left + x;
        this.#weight[pixel]! += weight;
        for (let c = 0; c < this.#channels; c++)
          this.#sum[c * height * width + pixel]! += weight * values[(y * tile.width + x) * this.#channels + c]!;
      }
    }
  }

  /** [C, height, width] */
  finish(): Float32Array<ArrayBuffer> {
    const pixels = this.#weight.length;
    return this.#sum.map((value, i) => value / this.#weight[i % pixels]!);
  }
}
