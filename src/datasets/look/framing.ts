/**
 * How much of a picture its subject fills, guessed without knowing what it shows: what differs from the picture's edge (left, top and
 * right; subjects often stand on the lower one) is taken for the subject. Right for a subject before a calm ground; before a
 * busy one, and where the subject reaches over every edge, the guess is `unknown`.
 */
import { resample, rgbRaster } from './resample.ts';
import type { PictureFraming, Pixels } from './types.ts';

const SIDE = 40;
/** Depth of the edge that stands for the ground. */
const EDGE = 3;
/** Colour distance (of 441) that a step over the whole picture is worth: a ground changes slowly. */
const PLACE_WORTH = 60;
/** Below this colour distance nothing is told apart. */
const LEAST_CONTRAST = 28;
/** The subject must be one piece: this share of what differs at least. */
const LEAST_PIECE = 0.7;

/** Of the frame's area. */
const CLOSE_FROM = 0.42;
const HALF_FROM = 0.2;
/** Less is no subject but a spot. */
const LEAST_AREA = 0.03;

/** Distance of each place to the edge's nearest colours, where near places count as nearer. */
function apartness(rgb: Float32Array): Float64Array {
  const edge: number[] = [];
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      if (x < EDGE || x >= SIDE - EDGE || y < EDGE) edge.push(y * SIDE + x);
    }
  }
  const apart = new Float64Array(SIDE * SIDE);
  for (let i = 0; i < apart.length; i++) {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
    let least = Infinity;
    for (const at of edge) {
      if (at === i) continue;
      let sum = (PLACE_WORTH / SIDE) ** 2 * ((x - (at % SIDE)) ** 2 + (y - Math.floor(at / SIDE)) ** 2);
      for (let c = 0; c < 3; c++) sum += (rgb[3 * i + c]! - rgb[3 * at + c]!) ** 2;
      if (sum < least) least = sum;
    }
    apart[i] = Math.sqrt(least);
  }
  return apart;
}

/** The value that parts numbers best into low and high (N. Otsu, 1979). */
function parting(values: Float64Array): number {
  const sorted = values.slice().sort();
  const total = sorted.reduce((sum, value) => sum + value, 0);
  let [low, best, at] = [0, -1, 0];
  for (let i = 0; i < sorted.length - 1; i++) {
    low += sorted[i]!;
    const [below, above] = [i + 1, sorted.length - i - 1];
    const between = below * above * (low / below - (total - low) / above) ** 2;
    if (between > best) [best, at] = [between, (sorted[i]! + sorted[i + 1]!) / 2];
  }
  return at;
}

/** Places of the largest connected piece. */
function largestPiece(mask: readonly boolean[]): number[] {
  const seen = new Set<number>();
  let largest: number[] = [];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || seen.has(start)) continue;
    const piece = [start];
    seen.add(start);
    for (const at of piece) {
      const x = at % SIDE;
      for (const next of [x > 0 ? at - 1 : -1, x < SIDE - 1 ? at + 1 : -1, at - SIDE, at + SIDE]) {
        if (!mask[next] || seen.has(next)) continue;
        seen.add(next);
        piece.push(next);
      }
    }
    if (piece.length > largest.length) largest = piece;
  }
  return largest;
}

export function guessFraming(look: Pixels): PictureFraming {
  const rgb = resample(rgbRaster(look), { x: 0, y: 0, width: look.width, height: look.height }, SIDE, SIDE);
  const apart = apartness(rgb);
  const limit = Math.max(LEAST_CONTRAST, parting(apart));
  const mask = Array.from(apart, (value) => value > limit);
  const count = mask.filter(Boolean).length;
  const piece = largestPiece(mask);
  if (count === 0 || piece.length < LEAST_PIECE * count) return 'unknown';
  const columns = piece.map((at) => at % SIDE);
  const rows = piece.map((at) => Math.floor(at / SIDE));
  const across = Math.max(...columns) - Math.min(...columns) + 1;
  const down = Math.max(...rows) - Math.min(...rows) + 1;
  const area = piece.length / mask.length;
  if (area < LEAST_AREA) return 'unknown';
  // The box says how far it reaches, the piece how much of that it fills.
  const share = Math.sqrt(((across * down) / mask.length) * area);
  return share >= CLOSE_FROM ? 'close' : share >= HALF_FROM ? 'half' : 'full';
}
