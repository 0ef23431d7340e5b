import type { AttentionShape } from '../../src/engine/kernels/attention.ts';

/** begin, end a row, flat. */
export type Ranges = Uint32Array<ArrayBuffer>;

/** For each key the interval of the queries that see it; throws where they are none. */
export function inverseRanges(keyRanges: Ranges, keys: number): Ranges {
  const out = new Uint32Array(2 * keys);
  const queries = keyRanges.length / 2;
  for (let key = 0; key < keys; key++) {
    let begin = 0;
    let end = 0;
    let seen = 0;
    for (let t = 0; t < queries; t++) {
      if (keyRanges[2 * t]! <= key && key < keyRanges[2 * t + 1]!) {
        if (seen++ === 0) begin = t;
        end = t + 1;
      }
    }
    for (let t = begin; t < end; t++) {
      const [from, to] = [keyRanges[2 * t]!, keyRanges[2 * t + 1]!];
      if (from < to && !(from <= key && key < to)) throw new Error(`the queries that see key ${key} are no interval`);
    }
    out[2 * key] = begin;
    out[2 * key + 1] = end;
  }
  return out;
}

interface Arrays {
  q: Float64Array;
  k: Float64Array;
  v: Float64Array;
}

/**
 * Float64 attention and its gradients, written out in full with T×T probabilities. `terms`: the size of what dq and dk are
 * sums of, P dP and P D, which cancel where a query sees one key, or one that has all of the probability.
 */
export function reference(
  shape: AttentionShape,
  { q, k, v }: Arrays,
  keyRanges: Ranges,
  dO?: { data: Float64Array; stride: number; offset: number },
) {
  const { queries, keys, heads, kvHeads, headDim: d, scale } = shape;
  const o = new Float64Array(queries * heads * d);
  const lse = new Float64Array(heads * queries);
  const dq = new Float64Array(queries * heads * d);
  const dk = new Float64Array(keys * kvHeads * d);
  const dv = new Float64Array(keys * kvHeads * d);
  const squares = { dq: 0, dk: 0 };
  for (let h = 0; h < heads; h++) {
    const g = Math.floor((h * kvHeads) / heads);
    for (let t = 0; t < queries; t++) {
      const [from, to] = [keyRanges[2 * t]!, keyRanges[2 * t + 1]!];
      lse[h * queries + t] = 1e30;
      if (from >= to) continue;
      const qAt = t * shape.q.stride + shape.q.offset + h * d;
      const kAt = (s: number) => s * shape.k.stride + shape.k.offset + g * d;
      const vAt = (s: number) => s * shape.v.stride + shape.v.offset + g * d;
      const dot = (a: Float64Array, i: number, b: Float64Array, j: number) => {
        let sum = 0;
        for (let e = 0; e < d; e++) sum += a[i + e]! * b[j + e]!;
        return sum;
      };
      const scores = Array.from({ length: to - from }, (_, i) => scale * dot(q, qAt, k, kAt(from + i)));
      const most = scores.reduce((a, b) => Math.max(a, b));
      const sum = scores.reduce((a, b) => a + Math.exp(b - most), 0);
      lse[h * queries + t] = most + Math.log(sum);
      const probabilities = scores.map((s) => Math.exp(s - most) / sum);
      const out = (t * heads + h) * d;
      probabilities.forEach((p, i) => {
        for (let e = 0; e < d; e++) o[out + e]! += p * v[vAt(from + i) + e]!;
      });
      if (!dO) continue;
      const dAt = t * dO.stride + dO.offset + h * d;
      const dp = probabilities.map((_, i) => dot(dO.data, dAt, v, vAt(from + i)));
      const delta = dp.reduce((a, b, i) => a + b * probabilities[i]!, 0);
      probabilities.forEach((p, i) => {
        const ds = p * (dp[i]! - delta) * scale;
        const apart = (p * scale) ** 2 * (dp[i]! ** 2 + delta ** 2);
        const to = ((from + i) * kvHeads + g) * d;
        for (let e = 0; e < d; e++) {
          dq[out + e]! += ds * k[kAt(from + i) + e]!;
          dk[to + e]! += ds * q[qAt + e]!;
          dv[to + e]! += p * dO.data[dAt + e]!;
          squares.dq += apart * k[kAt(from + i) + e]! ** 2;
          squares.dk += apart * q[qAt + e]! ** 2;
        }
      });
    }
  }
  return { o, lse, dq, dk, dv, terms: { dq: Math.sqrt(squares.dq), dk: Math.sqrt(squares.dk), dv: 0 } };
}

/** The columns of a matrix that the heads fill, packed. */
export function columnsOf(
  data: Float32Array,
  rows: number,
  width: number,
  columns: { stride: number; offset: number },
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(rows * width);
  for (let t = 0; t < rows; t++) {
    const from = t * columns.stride + columns.offset;
    out.set(data.subarray(from, from + width), t * width);
  }
  return out;
}

export const MASKS: Record<string, (queries: number, keys: number, t: number) => [number, number]> = {
  full: (_queries, keys) => [0, keys],
  causal: (queries, keys, t) => [0, Math.max(0, keys - queries + t + 1)],
  window: (queries, keys, t) => [Math.max(0, keys - queries + t + 1 - 7), Math.max(0, keys - queries + t + 1)],
  // Segments of 11 tokens with a window of 5 inside.
  segments: (_queries, keys, t) => [Math.max(t - (t % 11), t - 4), Math.min(keys, t + 1)],
  // Three images side by side, each with its own keys, as many of each as go round.
  images: (queries, keys, t) => {
    const image = Math.min(2, Math.floor(t / Math.floor(queries / 3)));
    return [image * Math.floor(keys / 3), image === 2 ? keys : (image + 1) * Math.floor(keys / 3)];
  },
  // The last third are padding, which sees nothing, and so is one row in the middle.
  padded: (queries, keys, t) => (t === 4 || 3 * t >= 2 * queries ? [0, 0] : [0, Math.min(keys, t + 1)]),
};

export function makeRanges(mask: keyof typeof MASKS, queries: number, keys: number): Ranges {
  return Uint32Array.from(Array.from({ length: queries }, (_, t) => MASKS[mask]!(queries, keys, t)).flat());
}
