import type { LoraTensors } from '../../src/adapters/peft.ts';
import type { WindowedConfig } from './windowed-lm.ts';
import { blockName, rotaryOf, windowedRanges } from './windowed-lm.ts';

type Matrix = Float64Array[];

/** An adapter's tensors in float64. */
export type WideAdapter = ReadonlyMap<string, Pick<LoraTensors, 'r'> & { A: Float64Array; B: Float64Array }>;

export interface Weights {
  config: WindowedConfig;
  weights: ReadonlyMap<string, ArrayLike<number>>;
  adapter?: WideAdapter;
  /** lora_alpha / r */
  scale?: number;
}

const times = (w: ArrayLike<number>, x: Float64Array, rows: number): Float64Array =>
  Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let i = 0; i < x.length; i++) sum += w[row * x.length + i]! * x[i]!;
    return sum;
  });

const sum = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value + b[i]!);

/** (x / rms(x)) (1 + weight) */
function normed(x: Float64Array, weight: ArrayLike<number>, eps: number): Float64Array {
  const mean = x.reduce((total, value) => total + value * value, 0) / x.length;
  return x.map((value, i) => (value / Math.sqrt(mean + eps)) * (1 + weight[i]!));
}

const geluTanh = (x: number): number => (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2;

/** The model of windowed-lm.ts written out once more, in float64 and without windows as ranges: logits of each token of a row. */
export function windowedLogits({ config, weights, adapter, scale = 1 }: Weights, ids: ArrayLike<number>): Matrix {
  const { hiddenSize, heads, kvHeads, headDim, eps, intermediateSize, vocabSize } = config;
  const of = (name: string): ArrayLike<number> => weights.get(name)!;
  const linear = (name: string, x: Float64Array, outs: number): Float64Array => {
    const y = times(of(`${name}.weight`), x, outs);
    const lora = adapter?.get(name);
    if (!lora) return y;
    const low = times(lora.B, times(lora.A, x, lora.r), outs);
    return y.map((value, i) => value + scale * low[i]!);
  };
  const table = of('transformer.wte.weight');
  let xs: Matrix = Array.from(ids, (id) =>
    Float64Array.from({ length: hiddenSize }, (_, i) => table[id * hiddenSize + i]! * Math.sqrt(hiddenSize)),
  );
  windowedRanges(config).forEach((range, layer) => {
    const name = blockName(layer);
    const norm = (x: Float64Array, part: string) => normed(x, of(`${name}.${part}_norm.weight`), eps);
    const half = rotaryOf(config, range) / 2;
    const head = (qkv: Float64Array, index: number, position: number, part?: 'q' | 'k'): Float64Array => {
      const raw = qkv.slice(index * headDim, (index + 1) * headDim);
      if (!part) return raw;
      const even = normed(raw, of(`${name}.attention.${part}_norm.weight`), eps);
      const turned = even.slice();
      for (let i = 0; i < half; i++) {
        const angle = position * 100 ** (-i / half);
        turned[i] = even[i]! * Math.cos(angle) - even[i + half]! * Math.sin(angle);
        turned[i + half] = even[i + half]! * Math.cos(angle) + even[i]! * Math.sin(angle);
      }
      return turned;
    };
    const qkvs = xs.map((x) =>
      linear(`${name}.attention.qkv_proj`, norm(x, 'before_attention'), (heads + 2 * kvHeads) * headDim),
    );
    const told = qkvs.map((qkv, s) =>
      Array.from({ length: kvHeads }, (_, kv) => ({
        k: head(qkv, heads + kv, s, 'k'),
        v: head(qkv, heads + kvHeads + kv, s),
      })),
    );
    xs = xs.map((x, t) => {
      const heard = new Float64Array(heads * headDim);
      for (let h = 0; h < heads; h++) {
        const kv = Math.floor((h * kvHeads) / heads);
        const q = head(qkvs[t]!, h, t, 'q');
        const seen = told.flatMap((each, s) => {
          const visible = s <= t && (range === 'causal' || s > t - range.window);
          if (!visible) return [];
          const { k, v } = each[kv]!;
          const score = 0.3 * q.reduce((total, value, i) => total + value * k[i]!, 0);
          return [{ score: Math.exp(score), v }];
        });
        const total = seen.reduce((all, { score }) => all + score, 0);
        for (const { score, v } of seen) v.forEach((value, i) => (heard[h * headDim + i]! += (score / total) * value));
      }
      const attended = sum(x, norm(linear(`${name}.attention.out_proj`, heard, hiddenSize), 'after_attention'));
      const wide = linear(`${name}.mlp.gate_up_proj`, norm(attended, 'before_mlp'), 2 * intermediateSize);
      const gated = wide.slice(0, intermediateSize).map((value, i) => geluTanh(value) * wide[intermediateSize + i]!);
      return sum(attended, norm(linear(`${name}.mlp.out`, gated, hiddenSize), 'after_mlp'));
    });
  });
  return xs.map((x) => times(table, normed(x, of('transformer.last_norm.weight'), eps), vocabSize));
}

/** Mean over all tokens but the first of each row of the negative log likelihood. */
export function windowedLoss(model: Weights, rows: readonly ArrayLike<number>[]): number {
  let total = 0;
  let count = 0;
  for (const ids of rows) {
    windowedLogits(model, ids).forEach((logits, t) => {
      const next = ids[t + 1];
      if (next === undefined) return;
      const most = Math.max(...logits);
      total += most + Math.log(logits.reduce((all, value) => all + Math.exp(value - most), 0)) - logits[next]!;
      count++;
    });
  }
  return total / count;
}
