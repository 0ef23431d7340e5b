import { UserError } from '../../common/errors.ts';
import { Program } from '../../engine/program.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import { concatFloats } from '../../common/floats.ts';
import type { Conditions, DenoiserShape } from '../../models/diffusion/denoiser.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { TensorData } from '../../models/files/safetensors.ts';
import type { EncodedPrompt } from '../denoising/batch.ts';
import { lengthsOf } from '../denoising/batch.ts';
import { denoise, denoiserShape } from '../denoising/denoise.ts';
import { TensorFile } from '../tensor-file.ts';
import { denoiserPlan } from './image-pipeline.ts';
import { LookCodec } from './encoders.ts';
import type { LookModel } from './model.ts';
import { readConditions, readTokens, rowOf } from './prepared.ts';

type Runner = (model: LookModel, file: TensorFile, options: Record<string, unknown>) => Promise<TensorData[]>;

const f32 = (name: string, shape: readonly number[], data: Float32Array): TensorData => ({
  name,
  dtype: 'F32',
  shape,
  data,
});

async function textEncoder(model: LookModel, file: TensorFile): Promise<TensorData[]> {
  const { base } = model;
  await base.load('text_encoder');
  const codec = new LookCodec(base);
  try {
    const prompts: EncodedPrompt[] = [];
    for (const tokens of await readTokens(base, file)) prompts.push(await codec.encodeTokens(tokens, model.adapter));
    const { conditions, outputNames } = base.conditioner;
    return conditions.map((name) => {
      const { width, isSequence } = base.denoiser.conditions[name]!;
      const values = concatFloats(prompts.map((prompt) => prompt.conditions[name]!));
      const rows = prompts.length;
      const shape = isSequence ? [rows, values.length / (rows * width), width] : [rows, width];
      return f32(outputNames[name] ?? name, shape, values);
    });
  } finally {
    codec.release();
  }
}

/** The denoiser's program for as long as `use` takes, with the adapter where there is one. */
async function withDenoiser<R>(
  { base, adapter }: LookModel,
  shape: DenoiserShape,
  use: (program: Program) => Promise<R>,
): Promise<R> {
  const { buffers } = adapter;
  const resources = { weights: base, ...(buffers && { adapter: buffers }) };
  const program = await Program.build(base.device, denoiserPlan(base, adapter, shape), resources);
  try {
    return await use(program);
  } finally {
    program.destroy();
  }
}

async function denoiserAlone(model: LookModel, file: TensorFile): Promise<TensorData[]> {
  const { denoiser } = model.base;
  const given = await file.floats('sample', [undefined, denoiser.channels, undefined, undefined]);
  const [rows, ...sample] = given.shape as [number, ...number[]];
  const timesteps = await file.numbers('timesteps', [rows]);
  const names = Object.keys(denoiser.conditions);
  const conditions = await readConditions(file, rows, denoiser.conditions, { names });
  const shape = { rows, sample, lengths: lengthsOf(denoiser, conditions[0]!) };
  return withDenoiser(model, shape, async (program) => {
    const inputs = denoiser.inputs(shape, { sample: given.values, timesteps, conditions });
    const { prediction } = await program.run(inputs, IDLE_STEP);
    return [f32('sample', given.shape, denoiser.fromRows(prediction!, sample))];
  });
}

async function vaeEncoder(model: LookModel, file: TensorFile): Promise<TensorData[]> {
  const { base } = model;
  await base.load('vae');
  const codec = new LookCodec(base);
  try {
    const { values, shape } = await file.floats('pixel_values', [undefined, 3, undefined, undefined]);
    const [images, , height, width] = shape as [number, number, number, number];
    const made = [];
    for (let i = 0; i < images; i++) {
      made.push(await codec.encode(rowOf(values, i, 3 * height * width), { height, width }));
    }
    const { size } = made[0]!;
    const latent = [images, base.autoencoder.latentChannels, size.height, size.width];
    return [
      f32('mean', latent, concatFloats(made.map(({ mean }) => mean))),
      f32('logvar', latent, concatFloats(made.map(({ logvar }) => logvar))),
    ];
  } finally {
    codec.release();
  }
}

async function vaeDecoder(model: LookModel, file: TensorFile): Promise<TensorData[]> {
  const { base } = model;
  await base.load('vae');
  const codec = new LookCodec(base);
  try {
    const { latentChannels, outChannels, factor } = base.autoencoder;
    const { values, shape } = await file.floats('latents', [undefined, latentChannels, undefined, undefined]);
    const [images, , height, width] = shape as [number, number, number, number];
    const pictures = [];
    for (let i = 0; i < images; i++) {
      pictures.push(await codec.decode(rowOf(values, i, latentChannels * height * width), { height, width }));
    }
    return [f32('sample', [images, outChannels, height * factor, width * factor], concatFloats(pictures))];
  } finally {
    codec.release();
  }
}

function numberOption(options: Record<string, unknown>, name: string, fallback: number): number {
  const value = options[name] ?? fallback;
  if (typeof value !== 'number') throw new UserError(`The option ${name} must be a number.`);
  return value;
}

async function sampler(model: LookModel, file: TensorFile, options: Record<string, unknown>): Promise<TensorData[]> {
  const { denoiser, conditioner, process, guidance } = model.base.model;
  const { values, shape } = await file.floats('latents', [undefined, denoiser.channels, undefined, undefined]);
  const [rows, ...sample] = shape as [number, ...number[]];
  const steps = numberOption(options, 'num_inference_steps', 50);
  const scale = numberOption(options, 'guidance_scale', 7.5);
  const karras = options['use_karras_sigmas'];
  const name = String(options['scheduler'] ?? process.samplers[0]);
  const names = Object.keys(denoiser.conditions);
  const positive = await readConditions(file, rows, denoiser.conditions, { names });
  let negative: Conditions[] | undefined;
  if (guidance.isGuided(scale) && file.has(`negative_${conditioner.conditions[0]!}`)) {
    const words = { names: conditioner.conditions, prefix: 'negative_' };
    negative = await readConditions(file, rows, denoiser.conditions, words);
  }
  const one = { sample, lengths: lengthsOf(denoiser, positive[0]!) };
  return withDenoiser(model, denoiserShape(one, negative !== undefined), async (program) => {
    const drawn: Float32Array[] = [];
    for (let i = 0; i < rows; i++) {
      const made = process.sampler({
        name,
        steps,
        ...(typeof karras === 'boolean' && { karras }),
        positions: denoiser.positions(sample),
      });
      drawn.push(
        await denoise(program, denoiser, made, {
          latents: rowOf(values, i, values.length / rows),
          shape: one,
          positive: positive[i]!,
          // What is no words' is told of both alike.
          guidance: negative && {
            negative: { ...positive[i]!, ...negative[i]! },
            guide: guidance.guide(scale, sample),
          },
        }),
      );
    }
    return [f32('latents', shape, concatFloats(drawn))];
  });
}

/** Runs a part of the model by itself on tensors from a file, for comparison with the reference libraries. */
export async function runComponent(
  model: LookModel,
  component: string,
  folder: ModelFolder,
  file: string,
  options: Record<string, unknown> = {},
): Promise<TensorData[]> {
  const runners = new Map<string, Runner>([
    ['text_encoder', textEncoder],
    [model.base.denoiser.component, denoiserAlone],
    ['vae_encoder', vaeEncoder],
    ['vae_decoder', vaeDecoder],
    ['sampler', sampler],
  ]);
  const run = runners.get(component);
  if (!run) throw new UserError(`A look has no component “${component}”. It has: ${[...runners.keys()].join(', ')}.`);
  return run(model, await TensorFile.open(folder, file), options);
}
