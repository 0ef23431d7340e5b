/** The work that both sides do: one LoRA step of a Llama with given weights on one row of tokens. */

export interface Shape {
  name: string;
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  kvHeads: number;
  tokens: number;
  tieWordEmbeddings: boolean;
}

export const SHAPES: Readonly<Record<string, Shape>> = {
  S: shape('S', 512, 128, 344, 2, 4, 4, 64, false),
  M: shape('M', 4096, 256, 688, 4, 8, 8, 256, false),
  // SmolLM2-135M.
  L: shape('L', 49152, 576, 1536, 30, 9, 3, 256, true),
};

function shape(
  name: string,
  vocabSize: number,
  hiddenSize: number,
  intermediateSize: number,
  layers: number,
  heads: number,
  kvHeads: number,
  tokens: number,
  tieWordEmbeddings: boolean,
): Shape {
  return { name, vocabSize, hiddenSize, intermediateSize, layers, heads, kvHeads, tokens, tieWordEmbeddings };
}

export const RANK = 8;
export const LORA_ALPHA = 16;
export const RMS_NORM_EPS = 1e-5;
export const ROPE_THETA = 10_000;
/** torch.optim.AdamW with transformers' usual values; no clipping. */
export const ADAMW = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 } as const;

export interface Matrix {
  shape: readonly number[];
  data: Float32Array<ArrayBuffer>;
}

export interface Work {
  shape: Shape;
  /** Frozen weights under transformers' names, linear layers [out, in]. */
  weights: Map<string, Matrix>;
  /** The adapter at the start under PEFT's names; A as PEFT draws it, B small instead of zero, so that A has a gradient at once. */
  adapter: Map<string, Matrix>;
  /** One row [tokens]; the labels are the same, shifted inside, so the last position predicts nothing. */
  tokens: Int32Array<ArrayBuffer>;
}

/** The seven projections of a layer with their sizes. */
export function projections(shape: Shape): { name: string; out: number; in: number }[] {
  const { hiddenSize: d, intermediateSize: f } = shape;
  const kv = (d / shape.heads) * shape.kvHeads;
  return [
    { name: 'self_attn.q_proj', out: d, in: d },
    { name: 'self_attn.k_proj', out: kv, in: d },
    { name: 'self_attn.v_proj', out: kv, in: d },
    { name: 'self_attn.o_proj', out: d, in: d },
    { name: 'mlp.gate_proj', out: f, in: d },
    { name: 'mlp.up_proj', out: f, in: d },
    { name: 'mlp.down_proj', out: d, in: f },
  ];
}

/** Uniform numbers in [0, 1): a 32-bit counter through a mixing function, the same on every machine. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** The same weights, adapter and tokens for the same shape and seed. */
export function makeWork(shape: Shape, seed = 1): Work {
  const random = generator(seed);
  const uniform = (dims: readonly number[], bound: number): Matrix => ({
    shape: dims,
    data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => (2 * random() - 1) * bound),
  });
  const ones = (size: number): Matrix => ({ shape: [size], data: new Float32Array(size).fill(1) });
  const d = shape.hiddenSize;
  const weights = new Map<string, Matrix>();
  const adapter = new Map<string, Matrix>();
  weights.set('model.embed_tokens.weight', uniform([shape.vocabSize, d], 0.05));
  for (let layer = 0; layer < shape.layers; layer++) {
    const path = `model.layers.${layer}`;
    weights.set(`${path}.input_layernorm.weight`, ones(d));
    weights.set(`${path}.post_attention_layernorm.weight`, ones(d));
    for (const { name, out, in: size } of projections(shape)) {
      weights.set(`${path}.${name}.weight`, uniform([out, size], Math.sqrt(3 / size)));
      const module = `base_model.model.${path}.${name}`;
      adapter.set(`${module}.lora_A.weight`, uniform([RANK, size], 1 / Math.sqrt(size)));
      adapter.set(`${module}.lora_B.weight`, uniform([out, RANK], 0.01));
    }
  }
  weights.set('model.norm.weight', ones(d));
  if (!shape.tieWordEmbeddings) weights.set('lm_head.weight', uniform([shape.vocabSize, d], Math.sqrt(3 / d)));
  const tokens = Int32Array.from({ length: shape.tokens }, () => Math.floor(random() * shape.vocabSize));
  return { shape, weights, adapter, tokens };
}

/** One side of the comparison. Made with its weights on the device; nothing traced or compiled yet. */
export interface Side {
  /** One optimiser step on the same row; resolves with its loss when the device has finished all of it. */
  step(): Promise<number>;
  /** What only the side itself knows, after its first step. */
  stats(): SideStats;
  /** The device, whose buffers and dispatches the page counts. */
  device: GPUDevice;
}

export interface SideStats {
  /** Bytes of device buffers that the plan promised. */
  plannedBytes?: number;
  /** Seconds of the last step spent in recording and submitting, on the processor. */
  encodeSeconds?: number;
}

export type CreateStep = (work: Work) => Promise<Side>;
