import type { LoraConfig } from '../adapters/config.ts';
import type { Recipe } from './recipe.ts';
/** One adapter tensor's place in the flat buffers, in their order. */
export interface FlatTensor {
  /** PEFT's tensor name. */
  name: string;
  shape: readonly number[];
}
/** Everything a run needs to go on as if it had not stopped. */
export interface RunState {
  /** Optimiser steps done. */
  step: number;
  totalSteps: number;
  epoch: number;
  /** Rows or packs of this epoch already used. */
  position: number;
  /** Seed of the data order and dropout. */
  seed: number;
  recipe: Recipe;
  lora: LoraConfig;
  /** Held-out losses so far. */
  evaluations: { step: number; loss: number }[];
  bestStep: number;
  bestLoss: number | null;
  /** The adapter at its best held-out loss, where that is not now. */
  best: Float32Array<ArrayBuffer> | null;
  /** Layout of the flat buffers. */
  layout: readonly FlatTensor[];
  adapter: Float32Array<ArrayBuffer>;
  /** AdamW's exp_avg and exp_avg_sq. */
  firstMoment: Float32Array<ArrayBuffer>;
  secondMoment: Float32Array<ArrayBuffer>;
}
export declare function encodeRunState(state: RunState): Uint8Array<ArrayBuffer>;
/** UserError where the bytes are broken or of another version. */
export declare function decodeRunState(bytes: Uint8Array<ArrayBuffer>): Promise<RunState>;
