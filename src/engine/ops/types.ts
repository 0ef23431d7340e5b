import type { KernelCall, KernelTarget } from '../kernels/kernel.ts';
import type { DType, Tensor, TensorSpec } from '../tensor.ts';
import type { Graph } from '../graph.ts';

/** What an op takes and gives. */
export interface Op<Inputs, Attributes, Outputs> {
  inputs: Inputs;
  attributes: Attributes;
  outputs: Outputs;
}

/**
 * The closed union of what a graph can compute: each ops file adds its own, `declare module './types.ts' { interface OpTypes … }`.
 * Backward rules are ops themselves, so that they plan and fuse alike.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- merged into
export interface OpTypes {}

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
