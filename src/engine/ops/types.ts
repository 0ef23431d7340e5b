import type { Activation, GatePlace } from '../kernels/gated_activation.ts';
import type { KernelCall, KernelTarget } from '../kernels/kernel.ts';
import type { LoraSegment } from '../kernels/matmul.ts';
import type { DType, Tensor, TensorSpec } from '../tensor.ts';
import type { Graph } from '../graph.ts';
import type { Expression } from './expression.ts';

export interface AttentionAttributes {
  heads: number;
  kvHeads: number;
  headDim: number;
  scale: number;
  /** First column of q, k and v in their matrices (which may be one and the same). */
  qOffset: number;
  kOffset: number;
  vOffset: number;
  /**
   * Share of all query-key pairs that are seen, for the count of operations alone. Where nothing is said: half where q and k
   * are one matrix (causal), else all.
   */
  density?: number;
}

/** Pictures are matrices: a row for each pixel, those of an image one after the other, row by row. */
export interface PictureAttributes {
  images: number;
  height: number;
  width: number;
}

export interface Conv2dAttributes extends PictureAttributes {
  kernel: readonly [height: number, width: number];
  stride: number;
  /** Pixels from one tap to the next, default 1; both ways. conv2d alone takes more: convolutions of sound are not trained. */
  dilation?: number;
  /** zeros around the picture */
  padding: readonly [top: number, left: number, bottom: number, right: number];
}

export interface GroupNormAttributes {
  /** Rows are pixels, those of an image one after the other, as many of each. */
  images: number;
  groups: number;
  eps: number;
  /** What follows the norm in the same kernel. */
  activation: 'silu' | null;
}

export interface RopeAttributes {
  heads: number;
  kvHeads: number;
  headDim: number;
  /** How many leading dimensions of a head turn; 0 for none. */
  rotaryDim: number;
  eps: number;
}

interface Op<Inputs, Attributes, Outputs> {
  inputs: Inputs;
  attributes: Attributes;
  outputs: Outputs;
}

interface KeyRanges {
  /** u32 [queries, 2]: query t sees the keys keyRanges[t, 0] … keyRanges[t, 1] - 1. */
  keyRanges: Tensor;
}

/** The closed union of what a graph can compute. Backward rules are ops themselves, so that they plan and fuse alike. */
export interface OpTypes {
  /** y[t] = scale · table[ids[t]] */
  embedding: Op<{ ids: Tensor; table: Tensor }, { scale: number }, { y: Tensor }>;
  /** y = x Wᵀ + bias + residual + Σ segments scale (x' Aᵀ) Bᵀ, with x' = loraInput or x */
  linear: Op<
    { x: Tensor; weight: Tensor; bias?: Tensor; residual?: Tensor; a?: Tensor; b?: Tensor; loraInput?: Tensor },
    { segments: readonly LoraSegment[] },
    { y: Tensor; h?: Tensor }
  >;
  /** dx = dy W + g A + residual */
  linearBackward: Op<{ dy: Tensor; weight: Tensor; g?: Tensor; a?: Tensor; residual?: Tensor }, object, { dx: Tensor }>;
  /** g = scale dy B, segment by segment */
  loraUpBackward: Op<{ dy: Tensor; b: Tensor }, { segments: readonly LoraSegment[] }, { g: Tensor }>;
  /** dA = gᵀ x, dB = dyᵀ h, added to or put into the flat gradient buffer */
  loraGradient: Op<
    { g: Tensor; x: Tensor; dy: Tensor; h: Tensor },
    { segments: readonly LoraSegment[] },
    { da: Tensor; db: Tensor }
  >;
  rmsNorm: Op<{ x: Tensor; weight: Tensor }, { eps: number; offset: number }, { y: Tensor; rstd: Tensor }>;
  rmsNormBackward: Op<
    { dy: Tensor; x: Tensor; weight: Tensor; rstd: Tensor; add?: Tensor },
    { eps: number; offset: number },
    { dx: Tensor }
  >;
  /** Per-head RMS norm (where weights are given) and rotary embedding of the q and k heads of a packed q | k | v matrix. */
  headNormRope: Op<
    { x: Tensor; positions: Tensor; cos?: Tensor; sin?: Tensor; qWeight?: Tensor; kWeight?: Tensor },
    RopeAttributes,
    { y: Tensor }
  >;
  headNormRopeBackward: Op<
    { dy: Tensor; x: Tensor; positions: Tensor; cos?: Tensor; sin?: Tensor; qWeight?: Tensor; kWeight?: Tensor },
    RopeAttributes,
    { dx: Tensor }
  >;
  /**
   * y = norm(x) weight + bias, x [images · pixels, C]; each image's pixels × (C / groups) channels have mean 0 and variance 1
   * before weight and bias (Wu and He, arXiv:1803.08494). stats [images · groups, 2]: mean and 1 / √(variance + eps).
   */
  groupNorm: Op<{ x: Tensor; weight: Tensor; bias: Tensor }, GroupNormAttributes, { y: Tensor; stats: Tensor }>;
  groupNormBackward: Op<
    { dy: Tensor; x: Tensor; weight: Tensor; bias: Tensor; stats: Tensor; add?: Tensor },
    GroupNormAttributes,
    { dx: Tensor }
  >;
  /** y = norm(x) weight + bias over each row; stats [rows, 2]: mean and 1 / √(variance + eps). */
  layerNorm: Op<{ x: Tensor; weight: Tensor; bias: Tensor }, { eps: number }, { y: Tensor; stats: Tensor }>;
  layerNormBackward: Op<
    { dy: Tensor; x: Tensor; weight: Tensor; stats: Tensor; add?: Tensor },
    { eps: number },
    { dx: Tensor }
  >;
  /**
   * o = softmax(scale q kᵀ over the seen keys) v; lse = log of the softmax's denominator, [heads, queries]. For gradients
   * queryRanges [keys, 2] says the same of each key: which queries see it. Heads of 257 to 512 elements: one head, without
   * gradient.
   */
  attention: Op<
    { q: Tensor; k: Tensor; v: Tensor; queryRanges?: Tensor } & KeyRanges,
    AttentionAttributes,
    { o: Tensor; lse: Tensor }
  >;
  /**
   * T5's attention: o = softmax(scale q kᵀ + bias[head, clamp(key - query, ±span) + span] over the seen keys) v, with a bias
   * [heads, 2 span + 1] for each distance. Queries and keys are rows of one clip or text at the same places of q and k. A query
   * without keys gives 0. Forward only.
   */
  relativeAttention: Op<
    { q: Tensor; k: Tensor; v: Tensor; bias: Tensor } & KeyRanges,
    AttentionAttributes & { span: number },
    { o: Tensor }
  >;
  /**
   * Where q, k and v are columns of one matrix, dq is shaped like it and covers all three. Else k and v are columns of one
   * matrix, and dq is shaped like q, dkv like k; `wants` says which of the two somebody reads. queryRanges go with dkv and
   * with one matrix.
   */
  attentionBackward: Op<
    { dO: Tensor; o: Tensor; lse: Tensor; q: Tensor; k: Tensor; v: Tensor; queryRanges?: Tensor } & KeyRanges,
    AttentionAttributes & { wants: 'q' | 'kv' | 'both' },
    { dq?: Tensor; dkv?: Tensor }
  >;
  /**
   * y[(n, oy, ox), o] = bias[o] + imageBias[n, o] + Σ x[(n, oy·s - top + ky·d, ox·s - left + kx·d), c]
   * W[o, (ky, kx, c)] + residual, s and d being stride and dilation; height and width are those of x, W [O, kh · kw · C].
   */
  conv2d: Op<
    { x: Tensor; weight: Tensor; bias?: Tensor; imageBias?: Tensor; residual?: Tensor },
    Conv2dAttributes,
    { y: Tensor }
  >;
  /** dx = dy through the taps of the forward convolution with these attributes, + residual */
  conv2dBackward: Op<{ dy: Tensor; weight: Tensor; residual?: Tensor }, Conv2dAttributes, { dx: Tensor }>;
  /** y [output pixels, kh · kw · C]: what conv2d multiplies with W */
  unfold: Op<{ x: Tensor }, Conv2dAttributes, { y: Tensor }>;
  fold: Op<{ dy: Tensor; add?: Tensor }, Conv2dAttributes, { dx: Tensor }>;
  /** y: every pixel of x four times, twice as high and wide. height and width are those of x. */
  upsampleNearest: Op<{ x: Tensor }, PictureAttributes, { y: Tensor }>;
  upsampleNearestBackward: Op<{ dy: Tensor; add?: Tensor }, PictureAttributes, { dx: Tensor }>;
  /** y = act(x[:, :F]) · x[:, F:] with the gate first, y = x[:, :F] · act(x[:, F:]) with the gate second */
  gatedActivation: Op<{ x: Tensor }, { activation: Activation; gate: GatePlace }, { y: Tensor }>;
  gatedActivationBackward: Op<{ dy: Tensor; x: Tensor }, { activation: Activation; gate: GatePlace }, { dx: Tensor }>;
  /**
   * y = an elementwise expression over up to six operands, each full-sized, one row ([C]), one number ([1]) or one row for
   * each group of rows ([G, C], where G divides the rows: row r reads row ⌊r / (rows / G)⌋)
   */
  map: Op<
    { x0: Tensor; x1?: Tensor; x2?: Tensor; x3?: Tensor; x4?: Tensor; x5?: Tensor },
    { expression: Expression },
    { y: Tensor }
  >;
  /** y = x0 | x1 | x2, side by side */
  concat: Op<{ x0: Tensor; x1?: Tensor; x2?: Tensor }, object, { y: Tensor }>;
  /** y = columns [offset, offset + width) of x */
  slice: Op<{ x: Tensor }, { offset: number; width: number }, { y: Tensor }>;
  /**
   * y[g, c] = Σ_t x[t, c] · z[t, c] (z = 1 where absent) over the rows of each of `groups` equal groups (default 1: y [C]),
   * added to or put into a gradient where the output is one
   */
  columnSum: Op<{ x: Tensor; z?: Tensor }, { groups?: number }, { y: Tensor }>;
  /** y = x · keep / (1 - p), keep drawn from (step seed, salt, element) */
  dropout: Op<{ x: Tensor }, { p: number; salt: number }, { y: Tensor }>;
  /** norm[n] = ‖W[n] + scale B[n] A‖₂ (DoRA, arXiv:2402.09353); a constant in the gradient, as in PEFT */
  doraNorm: Op<{ weight: Tensor; a: Tensor; b: Tensor }, { rank: number; scale: number }, { norm: Tensor }>;
  /**
   * loss[t] = -log softmax(x[t] Wᵀ)[label], 0 where the label is -100; dx is the gradient of loss_scale · Σ loss.
   * Logits exist for a chunk of rows at a time.
   */
  crossEntropyHead: Op<
    { x: Tensor; weight: Tensor; labels: Tensor },
    { withGradient: boolean; chunkRows: number },
    { loss: Tensor; dx?: Tensor }
  >;
  /**
   * loss[t] = weight[t] · -log softmax(x[t])[label], x [rows, V] being logits, 0 where the label is -100 (or negative at all);
   * dx is the gradient of loss_scale · Σ loss.
   */
  crossEntropy: Op<
    { x: Tensor; labels: Tensor; weight: Tensor },
    { withGradient: boolean },
    { loss: Tensor; dx?: Tensor }
  >;
  /** loss[r] = weight[r] Σ_c (x[r, c] - target[r, c])²; dx is the gradient of loss_scale · Σ loss. */
  squaredError: Op<
    { x: Tensor; target: Tensor; weight: Tensor },
    { withGradient: boolean },
    { loss: Tensor; dx?: Tensor }
  >;
  /**
   * LoRA of an embedding, as PEFT has it: y = x + h Bᵀ with h[t] = scale · strength · A[:, ids[t]], A [r, vocabulary] and
   * B [out, r]. x is what the frozen table gave.
   */
  embeddingLora: Op<
    { x: Tensor; ids: Tensor; a: Tensor; b: Tensor },
    { rank: number; scale: number },
    { y: Tensor; h: Tensor }
  >;
  /** dA[:, v] = Σ g[t] over the rows t with ids[t] = v; dB = dyᵀ h. Added to or put into the flat gradient buffer. */
  embeddingLoraGradient: Op<
    { g: Tensor; ids: Tensor; dy: Tensor; h: Tensor },
    { rank: number; vocabulary: number },
    { da: Tensor; db: Tensor }
  >;
  /**
   * y: the rows of each clip with `left` and `right` rows of zeros around them.
   * x [clips · length, C], y [clips · (left + length + right), C]. A negative number cuts rows off instead.
   */
  padRows: Op<{ x: Tensor }, { clips: number; length: number; left: number; right: number }, { y: Tensor }>;
  /** y u32 [rows]: the column of each row's largest element, the first of equals */
  argmaxRows: Op<{ x: Tensor }, object, { y: Tensor }>;
  /**
   * One layer of an LSTM (Hochreiter and Schmidhuber, 1997) from left to right, gates i, f, g, o as in torch. x
   * [clips · length, 4H] is W_ih input + b_ih + b_hh, the weight W_hh [4H, H]. y [clips · length, H] are all h; h and c
   * [clips, H] the last ones, which the next chunk is given as h0 and c0 (they may be the same states). Without h0 and c0: from 0.
   */
  lstm: Op<
    { x: Tensor; weight: Tensor; h0?: Tensor; c0?: Tensor },
    { clips: number; length: number },
    { y: Tensor; h: Tensor; c: Tensor }
  >;
  /** y = Σ x */
  sum: Op<{ x: Tensor }, object, { y: Tensor }>;
  /** Writes columns [offset, offset + width) of each row of x into row `indices[t]` of `into`. */
  scatterRows: Op<{ x: Tensor; indices: Tensor }, { offset: number; width: number }, { into: Tensor }>;
}

export type OpName = keyof OpTypes;
export type Inputs<K extends OpName> = OpTypes[K]['inputs'];
export type Attributes<K extends OpName> = OpTypes[K]['attributes'];
export type Outputs<K extends OpName> = OpTypes[K]['outputs'];

export interface NodeOf<K extends OpName> {
  readonly op: K;
  readonly inputs: Inputs<K>;
  readonly attributes: Attributes<K>;
  readonly outputs: Outputs<K>;
  /** Transformer block that the node belongs to; what can be computed again instead of kept. */
  readonly block: number | undefined;
}

export type Node = { [K in OpName]: NodeOf<K> }[OpName];

/** A tensor, or a contiguous piece of one in bytes, as a kernel binds it. */
export type Operand = Tensor | { tensor: Tensor; offset: number; size: number };

export interface KernelContext<K extends OpName> {
  inputs: Inputs<K>;
  attributes: Attributes<K>;
  outputs: Outputs<K>;
  target: KernelTarget;
  /** A tensor that only the kernels of this node use. */
  temporary(shape: readonly number[], dtype?: DType): Tensor;
}

export interface GradientContext<K extends OpName> {
  graph: Graph;
  inputs: Inputs<K>;
  attributes: Attributes<K>;
  outputs: Outputs<K>;
  /** Gradient of an output, where something downstream used it. */
  gradient(name: keyof Outputs<K>): Tensor | undefined;
  /** Whether anything trained lies behind this input. */
  needs(name: keyof Inputs<K>): boolean;
  /**
   * Adds to an input's gradient. `make` is given the sum so far where there is one and the kernel can add it in passing;
   * it returns the new sum.
   */
  accumulate(name: keyof Inputs<K>, make: (previous: Tensor | undefined) => Tensor): void;
}

/** Everything about one op, in one place. */
export interface OpDefinition<K extends OpName> {
  /** The shape rule. Throws where shapes do not fit. */
  outputs(inputs: Inputs<K>, attributes: Attributes<K>): { [N in keyof Outputs<K>]: TensorSpec };
  gradient: ((context: GradientContext<K>) => void) | 'none';
  kernels(context: KernelContext<K>): KernelCall<Operand>[];
  /** Kept even when nobody reads an output: it writes a gradient or a state. */
  hasEffect?: boolean;
  /** A loss: `backward` begins here, though nobody hands this op a gradient. */
  isLoss?: true;
}

export type OpTable = { readonly [K in OpName]: OpDefinition<K> };
