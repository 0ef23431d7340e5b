import type { InputData } from '../../engine/program.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { ModelBuilder, Projection } from '../layers/builder.ts';

/** A normal distribution for each number of a sample, as an autoencoder gives it; without deviations the mean itself. */
export interface LatentDistribution {
  mean: Float32Array;
  deviation?: Float32Array;
}

/** What a denoiser is told of one example beside its noisy sample and the time, by name. */
export type Conditions = Readonly<Record<string, Float32Array<ArrayBuffer>>>;

export interface ConditionSpec {
  /** Numbers of a token, or of the whole where it is no sequence. */
  width: number;
  /** [length, width]; else [width]. */
  isSequence: boolean;
}

/** Tokens of each condition that is a sequence. */
export type Lengths = Readonly<Record<string, number>>;

/** The shape of one example. */
export interface ExampleShape {
  /** Of a sample, e.g. [channels, height, width] or [channels, frames]: whatever the denoiser works on. */
  sample: readonly number[];
  lengths: Lengths;
}

/** The shape of a batch. */
export interface DenoiserShape extends ExampleShape {
  /** Examples in it. */
  rows: number;
}

export interface DenoiserValues {
  /** [rows, ...sample] */
  sample: ArrayLike<number>;
  /** One for each row, as the process counts them. */
  timesteps: readonly number[];
  /** One for each row; what the graph computes itself is left out. */
  conditions: readonly Conditions[];
}

/**
 * A model that says of a noisy sample what its process asks for: the noise, a velocity. Its predictions are matrices with a
 * row for each position (a latent pixel, a frame); how a sample's numbers lie there is its own affair.
 */
export interface Denoiser {
  /** Names of all its weights and modules begin with it and a dot, as in diffusers: “unet”, “transformer”. */
  readonly component: string;
  /** The weight matrix whose storage speaks for all. */
  readonly probe: string;
  /** Numbers of one position. */
  readonly channels: number;
  /** Each side of a sample must be a multiple of this. */
  readonly sizeMultiple: number;
  /** By name, what it is told. */
  readonly conditions: Readonly<Record<string, ConditionSpec>>;
  /** A shape that it takes, as small as may be: for graphs that are never run. */
  readonly smallest: ExampleShape;
  /** The layers that LoRA may be asked to adapt, in the order of the forward pass. */
  readonly modules: readonly Projection[];
  /** Names that target_modules may hold, and those that are adapted where nothing is said. */
  readonly targetModules: readonly string[];
  readonly usualTargets: readonly string[];

  /** Positions of a sample. */
  positions(sample: readonly number[]): number;
  /** Values [rows, ...sample] as rows of positions, [rows · positions, channels]; of `channels` 1: one number a position. */
  toRows(values: ArrayLike<number>, sample: readonly number[], channels?: number): Float32Array<ArrayBuffer>;
  /** The reverse. */
  fromRows(rows: ArrayLike<number>, sample: readonly number[]): Float32Array<ArrayBuffer>;

  /**
   * Declares its inputs and returns its prediction, [rows · positions, channels]: exactly the process's target, whatever sign
   * or scale the model has by itself. Throws UserError for sides that do not suit it.
   * @param options `training`: gradients run through it; `given`: conditions that the same graph computes,
   * [rows · length, width] or [rows, width]
   */
  forward(b: ModelBuilder, shape: DenoiserShape, options: ForwardOptions): Tensor;
  /**
   * Values of the inputs that `forward` declares. Throws where their numbers do not fit the shape. A denoiser that can hide
   * tokens takes sequences shorter than the shape's length too: it fills them up, and nothing sees what it put there.
   */
  inputs(shape: DenoiserShape, values: DenoiserValues): Record<string, InputData>;
}

export interface ForwardOptions {
  training: boolean;
  given?: Readonly<Record<string, Tensor>>;
}

export function lengthOf(lengths: Lengths, name: string): number {
  const length = lengths[name];
  if (length === undefined) throw new Error(`the shape says no length of ${name}`);
  return length;
}
