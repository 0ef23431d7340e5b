import { UserError } from '../../common/errors.ts';
import { Program } from '../../engine/program.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import { concatFloats } from '../../common/floats.ts';
import { fromRows } from '../../models/layers/feature-rows.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { TensorData } from '../../models/files/safetensors.ts';
import { createSampler } from '../../models/schedulers/sampler.ts';
import { unetInputs } from '../../models/stable-diffusion/unet-2d-condition.ts';
import { TensorFile } from '../tensor-file.ts';
import { denoise } from './denoise.ts';
import { unetPlan } from './image-pipeline.ts';
import { LookCodec } from './encoders.ts';
import type { LookModel } from './model.ts';
import type { TextState } from './text.ts';

const COMPONENTS = ['text_encoder', 'unet', 'vae_encoder', 'vae_decoder', 'sampler'] as const;
type Component = (typeof COMPONENTS)[number];

type Runner = (model: LookModel, file: TensorFile, options: Record<string, unknown>) => Promise<TensorData[]>;

const f32 = (name: string, shape: readonly number[], data: Float32Array): TensorData => ({
  name,
  dtype: 'F32',
  shape,
  data,
});

const row = (values: Float32Array, i: number, length: number): Float32Array<ArrayBuffer> =>
  Float32Array.from(values.subarray(i * length, (i + 1) * length));

async function textEncoder(model: LookModel, file: TensorFile): Promise<TensorData[]> {
  const { base } = model;
  await base.load('text');
  const codec = new LookCodec(base);
  try {
    const names = base.folder.textEncoders.length > 1 ? ['input_ids', 'input_ids_2'] : ['input_ids'];
    const given = await Promise.all(names.map((name) => file.integers(name, [undefined, undefined])));
    const [rows, length] = given[0]!.shape as [number, number];
    const texts: TextState[] = [];
    for (let i = 0; i < rows; i++) {
      const ids = given.map(({ values }) => Uint32Array.from(values.subarray(i * length, (i + 1) * length)));
      texts.push(await codec.encodeIds(ids, model.adapter));
    }
    const states = concatFloats(texts.map((text) => text.states));
    const shape = [rows, length, states.length / (rows * length)];
    if (!texts[0]?.pooled) return [f32('last_hidden_state', shape, states)];
    const pooled = concatFloats(texts.map((text) => text.pooled!));
    return [f32('encoder_hidden_states', shape, states), f32('text_embeds', [rows, pooled.length / rows], pooled)];
  } finally {
    codec.release();
  }
}

async function unet(model: LookModel, file: TensorFile): Promise<TensorData[]> {
  const { base } = model;
  const config = base.unetConfig;
  const sample = await file.floats('sample', [undefined, config.inChannels, undefined, undefined]);
  const [images, , height, width] = sample.shape as [number, number, number, number];
  const timesteps = await file.numbers('timesteps', [images]);
  const text = await file.floats('encoder_hidden_states', [images, undefined, config.contextDim]);
  const added = config.added && {
    textEmbeds: (await file.floats('text_embeds', [images, config.added.textDim])).values,
    timeIds: await file.numbers('time_ids', [images, 6]),
  };
  const shape = { images, height, width, contextLength: text.shape[1]! };
  const buffers = model.adapter.buffers;
  const program = await Program.build(base.device, unetPlan(base, model.adapter, shape), {
    weights: base,
    ...(buffers && { adapter: buffers }),
  });
  try {
    const values = { sample: sample.values, timesteps, encoderHiddenStates: text.values, ...added };
    const { prediction } = await program.run(unetInputs(config, shape, values), IDLE_STEP);
    const out = fromRows(prediction!, config.outChannels, height * width);
    return [f32('sample', [images, config.outChannels, height, width], out)];
  } finally {
    program.destroy();
  }
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
      made.push(await codec.encode(row(values, i, 3 * height * width), { height, width }));
    }
    const { size } = made[0]!;
    const latent = [images, base.folder.vae.latentChannels, size.height, size.width];
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
    const { latentChannels, outChannels } = base.folder.vae;
    const { values, shape } = await file.floats('latents', [undefined, latentChannels, undefined, undefined]);
    const [images, , height, width] = shape as [number, number, number, number];
    const pictures = [];
    for (let i = 0; i < images; i++) {
      pictures.push(await codec.decode(row(values, i, latentChannels * height * width), { height, width }));
    }
    const { latentFactor: factor } = base;
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
  const { base } = model;
  const config = base.unetConfig;
  const { values, shape } = await file.floats('latents', [undefined, config.inChannels, undefined, undefined]);
  const [images, channels, height, width] = shape as [number, number, number, number];
  const steps = numberOption(options, 'num_inference_steps', 50);
  const scale = numberOption(options, 'guidance_scale', 7.5);
  const karras = options['use_karras_sigmas'];
  const name = String(options['scheduler'] ?? 'DDIMScheduler');
  const texts = async (prefix: string): Promise<TextState[]> => {
    const states = await file.floats(`${prefix}encoder_hidden_states`, [images, undefined, config.contextDim]);
    const length = states.shape[1]!;
    const pooled = config.added ? await file.floats(`${prefix}text_embeds`, [images, config.added.textDim]) : undefined;
    return Array.from({ length: images }, (_, i) => ({
      states: row(states.values, i, length * config.contextDim),
      contextLength: length,
      ids: [],
      ...(pooled && { pooled: row(pooled.values, i, pooled.shape[1]!) }),
    }));
  };
  const positive = await texts('');
  const isGuided = scale > 1 && file.has('negative_encoder_hidden_states');
  const negative = isGuided ? await texts('negative_') : undefined;
  const timeIds = config.added ? await file.numbers('time_ids', [images, 6]) : undefined;
  const { contextLength } = positive[0]!;
  const buffers = model.adapter.buffers;
  const unetShape = { images: isGuided ? 2 : 1, height, width, contextLength };
  const program = await Program.build(base.device, unetPlan(base, model.adapter, unetShape), {
    weights: base,
    ...(buffers && { adapter: buffers }),
  });
  try {
    const drawn: Float32Array[] = [];
    for (let i = 0; i < images; i++) {
      const made = createSampler(name, base.folder.schedulerConfig, steps, {
        ...(typeof karras === 'boolean' && { karras }),
      });
      drawn.push(
        await denoise(program, config, made, {
          latents: row(values, i, channels * height * width),
          size: { height, width },
          guidance: {
            positive: positive[i]!,
            negative: negative?.[i],
            scale,
            timeIds: timeIds?.slice(6 * i, 6 * (i + 1)),
          },
        }),
      );
    }
    return [f32('latents', shape, concatFloats(drawn))];
  } finally {
    program.destroy();
  }
}

const RUNNERS: Readonly<Record<Component, Runner>> = {
  text_encoder: textEncoder,
  unet,
  vae_encoder: vaeEncoder,
  vae_decoder: vaeDecoder,
  sampler,
};

/** Runs a part of the model by itself on tensors from a file, for comparison with the reference libraries. */
export async function runComponent(
  model: LookModel,
  component: string,
  folder: ModelFolder,
  file: string,
  options: Record<string, unknown> = {},
): Promise<TensorData[]> {
  const known = COMPONENTS.find((name) => name === component);
  if (!known) throw new UserError(`A look has no component “${component}”. It has: ${COMPONENTS.join(', ')}.`);
  return RUNNERS[known](model, await TensorFile.open(folder, file), options);
}
