import { concatFloats } from '../../common/floats.ts';
import type { Conditioner, PromptTokens } from '../../models/diffusion/conditioner.ts';
import type { Conditions, Denoiser, ExampleShape, Lengths } from '../../models/diffusion/denoiser.ts';
import type { Process, ProcessSettings } from '../../models/schedulers/process.ts';
import type { Batch } from '../../training/trainer.ts';

/** What a prompt tells a denoiser. */
export interface EncodedPrompt {
  conditions: Conditions;
  /** For text encoders that are trained with the rest; none where conditions were given. */
  tokens: PromptTokens;
}

/** Programs are made for shapes. */
export const programName = ({ sample, lengths }: ExampleShape): string =>
  [sample.join('x'), ...Object.entries(lengths).map(([name, length]) => `${name} ${length}`)].join(', ');

/** Lengths of conditions that are sequences. */
export function lengthsOf(denoiser: Denoiser, conditions: Conditions): Lengths {
  const sequences = Object.entries(denoiser.conditions).filter(([, { isSequence }]) => isSequence);
  return Object.fromEntries(sequences.map(([name, { width }]) => [name, conditions[name]!.length / width]));
}

/** One example with everything drawn: what the denoiser sees and what it should say. */
export interface NoisyRow {
  /** The clear sample, and noise of its shape. */
  latents: Float32Array;
  noise: Float32Array;
  timestep: number;
  prompt: EncodedPrompt;
  /** What is told beside the words. */
  conditions?: Conditions | undefined;
  /** How much each position counts, as a sample of one channel; 1 everywhere where it is left out. */
  mask?: Float32Array | undefined;
  /** How much the example counts: prior preservation's weight, else 1. */
  weight: number;
}

/** What a batch is made for. */
export interface BatchContext {
  denoiser: Denoiser;
  process: Process;
  /** One that is trained along, and so is given tokens; none where the denoiser is given conditions. */
  conditioner?: Conditioner | undefined;
}

/** Conditions without those that the graph computes. */
function told({ prompt, conditions }: NoisyRow, { conditioner }: BatchContext): Conditions {
  const given = Object.entries(prompt.conditions).filter(([name]) => !conditioner?.conditions.includes(name));
  return { ...Object.fromEntries(given), ...conditions };
}

/**
 * Inputs of the loss graph. The loss is the mean over rows, channels and positions of weight · mask · (prediction - target)²,
 * so that the mean over a step's batches is what diffusers' training scripts report.
 */
export function makeBatch(
  context: BatchContext,
  rows: readonly NoisyRow[],
  shape: ExampleShape,
  settings: ProcessSettings,
): Batch {
  const { denoiser, process, conditioner } = context;
  const { sample } = shape;
  const positions = denoiser.positions(sample);
  const noisy = rows.map(({ latents, noise, timestep }) => process.addNoise(latents, noise, timestep));
  const targets = rows.map(({ latents, noise, timestep }) => process.target(latents, noise, timestep));
  const weights = new Float32Array(rows.length * positions);
  rows.forEach(({ timestep, mask, weight }, n) => {
    const each = (weight * process.weight(timestep, settings)) / (rows.length * denoiser.channels * positions);
    const counts = mask && denoiser.toRows(mask, sample, 1);
    for (let i = 0; i < positions; i++) weights[n * positions + i] = each * (counts?.[i] ?? 1);
  });
  return {
    program: programName(shape),
    inputs: {
      ...conditioner?.inputs(rows.map(({ prompt }) => prompt.tokens)),
      ...denoiser.inputs(
        { rows: rows.length, ...shape },
        {
          sample: concatFloats(noisy),
          timesteps: rows.map(({ timestep }) => timestep),
          conditions: rows.map((row) => told(row, context)),
        },
      ),
      target: denoiser.toRows(concatFloats(targets), sample),
      weight: weights,
    },
    labelTokens: 1,
  };
}
