import { readFileSync } from 'node:fs';
import { codesOf } from '../../../src/engine/weight-formats.ts';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import type { WeightSpec } from '../../../src/engine/graph.ts';
import { parseVaeConfig } from '../../../src/models/stable-diffusion/autoencoder-kl.ts';
import { parseClipTextConfig } from '../../../src/models/clip/text-encoder.ts';
import { DiffusionCheckpoint } from '../../../src/models/stable-diffusion/checkpoint.ts';
import { SD15_FACTS, SDXL_FACTS } from '../../../src/models/stable-diffusion/default-configs.ts';
import { f16ToF32, f32ToF16 } from '../../../src/common/half-floats.ts';
import { writeSafetensors } from '../../../src/models/files/safetensors.ts';
import type { TensorData } from '../../../src/models/files/safetensors.ts';
import { parseUnetConfig, unetModules } from '../../../src/models/stable-diffusion/unet-2d-condition.ts';
import { FIXTURES, fixture, textFolder } from '../../support/disk-folder.ts';
import { SD15, SDXL, unetModuleList } from '../../support/look-modules.ts';
import { Random } from '../../support/matmul.ts';
import { allSources, wholeGraph } from '../../support/look-models.ts';

type Source = WeightSpec['sources'][number];
interface Case {
  configs: Record<string, Record<string, unknown>>;
  /** New name, original name, and where they are given the third of it and whether it is turned. */
  tensors: [string, string, (number | null)?, boolean?][];
}

const cases = fixture<Record<'sd1' | 'sdxl', Case>>('look-original-names.json');
const scheduler = { _class_name: 'DDIMScheduler', beta_schedule: 'scaled_linear' };
const tokenizer = fixture<Record<string, number>>('tokenizers/clip/vocab.json');

function described({ configs }: Case) {
  const second = configs['text_encoder_2'];
  return {
    unet: parseUnetConfig(configs['unet']),
    vae: parseVaeConfig(configs['vae']),
    textEncoders: [
      {
        name: 'text_encoder' as const,
        config: parseClipTextConfig(configs['text_encoder'], { withProjection: false }),
      },
      ...(second
        ? [{ name: 'text_encoder_2' as const, config: parseClipTextConfig(second, { withProjection: true }) }]
        : []),
    ],
  };
}

const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Shape in files: a convolution's is [O, C, height, width]. */
const fileShape = ({ shape, kernel }: Source): number[] =>
  kernel ? [shape[0]!, shape[1]! / (kernel[0] * kernel[1]), ...kernel] : [...shape];

/** Random values of every tensor, in the order of files. */
function values(each: Case): Map<string, { source: Source; data: Float32Array<ArrayBuffer> }> {
  const random = new Random(7);
  return new Map(
    allSources(described(each)).map((source) => [source.name, { source, data: random.normal(count(source.shape)) }]),
  );
}

const settings = (each: Case): Record<string, object> => ({
  ...Object.fromEntries(Object.entries(each.configs).map(([name, json]) => [`${name}/config.json`, json])),
  'scheduler/scheduler_config.json': scheduler,
});

/** Files but one. */
const without = (files: Record<string, unknown>, name: string) =>
  Object.fromEntries(Object.entries(files).filter(([path]) => path !== name)) as Record<string, object>;

type Dtype = 'F32' | 'F16' | 'BF16';

/** A diffusers folder. `edit` changes a component's tensors. */
function diffusersFiles(
  each: Case,
  dtype: Dtype = 'F32',
  file: (component: string) => string = () => 'diffusion_pytorch_model.safetensors',
  rename = (name: string) => name,
) {
  const components = new Map<string, TensorData[]>();
  for (const [name, { source, data }] of values(each)) {
    const component = name.slice(0, name.indexOf('.'));
    const list = components.get(component) ?? [];
    components.set(component, list);
    list.push({ name: rename(name).slice(component.length + 1), dtype, shape: fileShape(source), data });
  }
  return {
    ...settings(each),
    ...Object.fromEntries(
      [...components].map(([component, tensors]) => [`${component}/${file(component)}`, writeSafetensors(tensors)]),
    ),
  };
}

/** The same in one file under original names. */
function originalTensors(each: Case): TensorData[] {
  const tensors = new Map<string, TensorData>();
  const parts = new Map<string, Float32Array[]>();
  const table = new Map(each.tensors.map((row) => [row[0], row]));
  for (const [name, { source, data }] of values(each)) {
    const stem = name.replace(/\.(weight|bias)$/, '');
    const [, original, part, turned] = table.get(name) ?? table.get(stem)!;
    const full = table.has(name) ? original : `${original}${name.slice(stem.length)}`;
    const shape = fileShape(source);
    if (part !== undefined && part !== null) {
      const list = parts.get(full) ?? [];
      parts.set(full, list);
      list[part] = data;
      const joined = new Float32Array(3 * data.length);
      list.forEach((values, i) => joined.set(values, i * data.length));
      tensors.set(full, { name: full, dtype: 'F32', shape: [3 * shape[0]!, ...shape.slice(1)], data: joined });
    } else if (turned) {
      const [rows, columns] = shape as [number, number];
      const across = Float32Array.from(data, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)]!);
      tensors.set(full, { name: full, dtype: 'F32', shape: [columns, rows], data: across });
    } else {
      // The original autoencoder's attention is made of convolutions of 1 by 1.
      const isConv = /attn_1\.(q|k|v|proj_out)\.weight$/.test(full);
      tensors.set(full, { name: full, dtype: 'F32', shape: isConv ? [...shape, 1, 1] : shape, data });
    }
  }
  return [...tensors.values()];
}

const oneFile = (each: Case, more: TensorData[] = []) => ({
  ...settings(each),
  'model.safetensors': writeSafetensors([...originalTensors(each), ...more]),
});

async function streamed(
  model: DiffusionCheckpoint,
  { name, shape, kernel }: Source,
  dtype: 'f32' | 'f16' | 'bf16' = 'f32',
) {
  const pieces: Uint8Array[] = [];
  for await (const piece of model.stream(name, shape, dtype, kernel)) pieces.push(codesOf(piece));
  const whole = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole.buffer;
}

/** The device's order of a tensor given in the file's. */
function deviceOrder({ shape, kernel }: Source, data: Float32Array): Float32Array {
  if (!kernel) return data;
  const area = kernel[0] * kernel[1];
  const [rows, columns] = shape as [number, number];
  const channels = columns / area;
  const out = new Float32Array(data.length);
  for (let o = 0; o < rows; o++)
    for (let c = 0; c < channels; c++)
      for (let k = 0; k < area; k++) out[(o * area + k) * channels + c] = data[(o * channels + c) * area + k]!;
  return out;
}

async function expectAll(model: DiffusionCheckpoint, each: Case): Promise<void> {
  const all = values(each);
  expect(all.size).toBeGreaterThan(300);
  for (const [name, { source, data }] of all) {
    expect(new Float32Array(await streamed(model, source)), name).toEqual(deviceOrder(source, data));
  }
}

describe.each(Object.entries(cases))('%s', (family, each) => {
  test('every tensor of a diffusers folder', async () => {
    const model = await DiffusionCheckpoint.open(textFolder('base', diffusersFiles(each)));
    expect([model.family, model.isOneFile]).toEqual([family, false]);
    model.requireWeights(wholeGraph(model));
    await expectAll(model, each);
    const numbers = [...values(each).values()].reduce((sum, { data }) => sum + data.length, 0);
    expect(model.parameters()).toBe(numbers);
    expect(model.parameters('vae')).toBeLessThan(numbers);
  });

  test('every tensor of a checkpoint in one file, where diffusers finds it', async () => {
    const model = await DiffusionCheckpoint.open(textFolder('base', oneFile(each)));
    expect([model.family, model.isOneFile]).toEqual([family, true]);
    await expectAll(model, each);
    expect(model.parameters()).toBe([...values(each).values()].reduce((sum, { data }) => sum + data.length, 0));
  });

  test('names of 2022, precisions and variants', async () => {
    const old = (name: string) =>
      name
        .replace(
          /^(vae.*)\.to_([qkv])\./,
          (_, start: string, which: string) => `${start}.${{ q: 'query', k: 'key', v: 'value' }[which]}.`,
        )
        .replace(/^(vae.*)\.to_out\.0\./, '$1.proj_attn.')
        .replace(/^(text_encoder)\.text_model\./, '$1.');
    const files = diffusersFiles(
      each,
      'F16',
      (component) =>
        component.startsWith('text') ? 'model.fp16.safetensors' : 'diffusion_pytorch_model.fp16.safetensors',
      old,
    );
    const model = await DiffusionCheckpoint.open(textFolder('base', files));
    const name = 'unet.mid_block.resnets.0.conv1.weight';
    expect(model.dtypeOf(name, 'stored')).toBe('f16');
    expect(model.dtypeOf(name, 'f32')).toBe('f32');
    for (const [name, { source, data }] of values(each)) {
      const half = f32ToF16(deviceOrder(source, data) as Float32Array<ArrayBuffer>);
      expect(new Uint16Array(await streamed(model, source, 'f16')), name).toEqual(half);
      if (name.includes('mid_block')) expect(new Float32Array(await streamed(model, source))).toEqual(f16ToF32(half));
    }
  });
});

test('built-in configurations are those of the real models', () => {
  const sd15 = parseUnetConfig(SD15_FACTS.unet);
  const sdxl = parseUnetConfig(SDXL_FACTS.unet);
  const parameters = (facts: typeof SD15_FACTS) => {
    const parts = {
      unet: parseUnetConfig(facts.unet),
      vae: parseVaeConfig(facts.vae),
      textEncoders: [
        { name: 'text_encoder' as const, config: parseClipTextConfig(facts.text_encoder, { withProjection: false }) },
        ...(facts.text_encoder_2
          ? [
              {
                name: 'text_encoder_2' as const,
                config: parseClipTextConfig(facts.text_encoder_2, { withProjection: true }),
              },
            ]
          : []),
      ],
    };
    const sums: Record<string, number> = {};
    for (const { name, shape } of allSources(parts)) {
      const component = name.slice(0, name.indexOf('.'));
      sums[component] = (sums[component] ?? 0) + count(shape);
    }
    return sums;
  };
  // As counted by the libraries.
  expect(parameters(SD15_FACTS)).toEqual({ unet: 859_520_964, vae: 83_653_863, text_encoder: 123_060_480 });
  expect(parameters(SDXL_FACTS)).toEqual({
    unet: 2_567_463_684,
    vae: 83_653_863,
    text_encoder: 123_060_480,
    text_encoder_2: 694_659_840,
  });
  for (const [config, list] of [
    [sd15, unetModuleList(SD15)],
    [sdxl, unetModuleList(SDXL)],
  ] as const) {
    const found = new Map(
      unetModules(config).map(({ name, inFeatures, outFeatures, kernel }) => [name, [inFeatures, outFeatures, kernel]]),
    );
    for (const { name, inFeatures, outFeatures, kernel } of list) {
      expect(found.get(name), name).toEqual([inFeatures, outFeatures, kernel]);
      found.delete(name);
    }
    // What is left stands at the ends.
    expect(
      [...found.keys()].every((name) => /^unet\.(conv_in|conv_out|(time|add)_embedding\.linear_[12])$/.test(name)),
    ).toBe(true);
  }
});

test('the tokenizer of a one-file checkpoint lies beside it', async () => {
  const merges = readFileSync(`${FIXTURES}tokenizers/clip/merges.txt`, 'utf8');
  const files = { ...oneFile(cases.sdxl), 'vocab.json': tokenizer, 'merges.txt': merges };
  const [first, second] = await (await DiffusionCheckpoint.open(textFolder('base', files))).tokenizers();
  expect(first!.padId).toBe(first!.eosId);
  expect(second!.padId).toBe(tokenizer['!']);
  const without = await DiffusionCheckpoint.open(textFolder('base', oneFile(cases.sd1)));
  await expect(without.tokenizers()).rejects.toThrow(/vocab\.json and merges\.txt/);
});

test('marks of v prediction in a one-file checkpoint, and a schedule as Python writes it', async () => {
  const mark = (name: string): TensorData => ({ name, dtype: 'F32', shape: [0], data: new Float32Array(0) });
  const files = without(oneFile(cases.sdxl, [mark('v_pred'), mark('ztsnr')]), 'scheduler/scheduler_config.json');
  const model = await DiffusionCheckpoint.open(textFolder('base', files));
  expect(model.schedulerConfig).toMatchObject({ prediction_type: 'v_prediction', rescale_betas_zero_snr: true });
  const written = '{"beta_start": 0.00085, "lambda_min_clipped": -Infinity, "trained_betas": null}';
  const folder = textFolder('base', { ...diffusersFiles(cases.sd1), 'scheduler/scheduler_config.json': written });
  expect((await DiffusionCheckpoint.open(folder)).schedulerConfig).toMatchObject({ lambda_min_clipped: null });
});

describe('what is refused, and why', () => {
  const { sd1, sdxl } = cases;
  const tensor = (name: string, shape: number[]): TensorData => ({
    name,
    dtype: 'F32',
    shape,
    data: new Float32Array(count(shape)),
  });
  const changed = (each: Case, component: string, fields: object) => ({
    ...diffusersFiles(each),
    [`${component}/config.json`]: { ...each.configs[component], ...fields },
  });
  const index = (fields: object) => ({
    _class_name: 'SomePipeline',
    unet: ['diffusers', 'UNet2DConditionModel'],
    ...fields,
  });
  const root = (...tensors: TensorData[]) => ({ 'a.safetensors': writeSafetensors(tensors) });
  const input = (channels: number) => tensor('model.diffusion_model.input_blocks.0.0.weight', [4, channels, 3, 3]);

  test.each([
    ['an empty folder', {}, /unet\/config\.json/],
    [
      'no scheduler',
      without(diffusersFiles(sd1), 'scheduler/scheduler_config.json'),
      /scheduler_config\.json is missing/,
    ],
    [
      'another class',
      { ...diffusersFiles(sd1), 'model_index.json': index({ text_encoder: ['transformers', 'T5EncoderModel'] }) },
      /T5EncoderModel.*CLIPTextModel/,
    ],
    [
      'no unet',
      { 'model_index.json': { _class_name: 'FluxPipeline', transformer: ['diffusers', 'FluxTransformer2DModel'] } },
      /has no unet/,
    ],
    [
      'a field of the UNet',
      changed(sd1, 'unet', { class_embed_type: 'timestep' }),
      /unet\/config\.json says class_embed_type/,
    ],
    ['a distilled UNet', changed(sd1, 'unet', { time_cond_proj_dim: 256 }), /time_cond_proj_dim/],
    [
      'a block type',
      changed(sd1, 'unet', { down_block_types: ['AttnDownBlock2D', 'DownBlock2D', 'DownBlock2D', 'DownBlock2D'] }),
      /down_block_types.*CrossAttnDownBlock2D/,
    ],
    ['lists of other lengths', changed(sd1, 'unet', { attention_head_dim: [1, 2] }), /attention_head_dim.*4 numbers/],
    ['heads that do not divide', changed(sd1, 'unet', { attention_head_dim: 3 }), /attention_head_dim/],
    ['groups that do not divide', changed(sd1, 'vae', { norm_num_groups: 3 }), /norm_num_groups/],
    ['an autoencoder of another kind', changed(sd1, 'vae', { latents_mean: [0, 0, 0, 0] }), /latents_mean/],
    ['an activation', changed(sd1, 'text_encoder', { hidden_act: 'prelu' }), /hidden_act.*quick_gelu/],
    ['an inpainting model', changed(sd1, 'unet', { in_channels: 9 }), /inpainting/],
    ['widths that do not fit', changed(sd1, 'unet', { cross_attention_dim: 16 }), /12 numbers a token.*16/],
    ['one encoder of two', without(diffusersFiles(sdxl), 'text_encoder_2/config.json'), /12 numbers a token.*20/],
    ['several files', { ...root(input(4)), 'b.safetensors': writeSafetensors([input(4)]) }, /several/],
    ['a LoRA', root(tensor('lora_unet_mid_block.lora_down.weight', [1, 1])), /LoRA/],
    [
      'another model',
      root(tensor('model.diffusion_model.joint_blocks.0.x', [1])),
      /not a checkpoint of Stable Diffusion/,
    ],
    ['Stable Diffusion 2', root(input(4), tensor('cond_stage_model.model.ln_final.weight', [1])), /Stable Diffusion 2/],
    [
      'the refiner',
      root(
        input(4),
        tensor('model.diffusion_model.label_emb.0.0.weight', [1]),
        tensor('conditioner.embedders.0.model.ln_final.weight', [1]),
      ),
      /refiner/,
    ],
    ['a UNet alone', root(input(4)), /no autoencoder/],
    ['an EDM model', root(input(4), tensor('edm_mean', [1])), /EDM/],
    [
      'nine channels',
      {
        ...without(oneFile(sd1), 'unet/config.json'),
        'model.safetensors': writeSafetensors(
          originalTensors(sd1).map((t) => (t.name.endsWith('input_blocks.0.0.weight') ? input(9) : t)),
        ),
      },
      /9 channels/,
    ],
    [
      'a schedule',
      { ...diffusersFiles(sd1), 'scheduler/scheduler_config.json': { prediction_type: 'sample' } },
      /prediction_type/,
    ],
  ])('%s', async (_, files, message) => {
    const opening = DiffusionCheckpoint.open(textFolder('base', files as Record<string, object>));
    await expect(opening).rejects.toThrow(UserError);
    await expect(opening).rejects.toThrow(message);
  });

  test('tensors that are missing or of other shapes', async () => {
    const files = changed(sd1, 'unet', { block_out_channels: [4, 4, 8, 16] });
    const model = await DiffusionCheckpoint.open(textFolder('base', files));
    expect(() => model.requireWeights(wholeGraph(model))).toThrow(/has the shape \[8.*asks for \[16/);
    const more = await DiffusionCheckpoint.open(
      textFolder('base', changed(sd1, 'text_encoder', { num_hidden_layers: 3 })),
    );
    expect(() => more.requireWeights(wholeGraph(more))).toThrow(/no tensor .*layers\.2/);
  });
});
