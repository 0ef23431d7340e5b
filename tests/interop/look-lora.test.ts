import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lookTensorData, writeDiffusersLora } from '../../src/adapters/diffusers-lora.ts';
import { writeKohyaLora } from '../../src/adapters/kohya-lora.ts';
import { LOOK_COMPONENTS, splitComponent } from '../../src/adapters/kohya-names.ts';
import type { LookFamily } from '../../src/adapters/look-families.ts';
import { readLookAdapter } from '../../src/adapters/look-files.ts';
import type { Adapter } from '../../src/adapters/peft.ts';
import type { AdaptableModule } from '../../src/adapters/targets.ts';
import { loraScale } from '../../src/adapters/targets.ts';
import { writeSafetensors } from '../../src/models/files/safetensors.ts';
import { diskFolder } from '../support/disk-folder.ts';
import { randomAdapter, textModuleList, unetModuleList } from '../support/look-modules.ts';
import type { UNetShape } from '../support/look-modules.ts';
import { referencePython } from '../support/python.ts';
import { oneSeed } from '../support/seeds.ts';

const script = fileURLToPath(new URL('../reference/look_interop.py', import.meta.url));

interface Report {
  agrees: boolean;
  /** How far each component's output moves through the adapter, and each file's from PEFT's; relative. */
  changes: Record<string, number>;
  errors: Record<string, Record<string, number>>;
  warnings: string[];
}

const SD1: UNetShape = {
  channels: [16, 24],
  depths: [1, 0],
  midDepth: 1,
  layersPerBlock: 2,
  context: 20,
  linear: false,
};
const XL: UNetShape = {
  channels: [16, 24, 32],
  depths: [0, 1, 2],
  midDepth: 2,
  layersPerBlock: 2,
  context: 28,
  linear: true,
};

const blocks = (shape: UNetShape, way: 'Down' | 'Up'): string[] => {
  const names = shape.depths.map((depth) => `${depth > 0 ? 'CrossAttn' : ''}${way}Block2D`);
  return way === 'Up' ? names.reverse() : names;
};

function unetConfig(shape: UNetShape): Record<string, unknown> {
  return {
    sample_size: 8,
    in_channels: 4,
    out_channels: 4,
    block_out_channels: shape.channels,
    layers_per_block: shape.layersPerBlock,
    down_block_types: blocks(shape, 'Down'),
    up_block_types: blocks(shape, 'Up'),
    cross_attention_dim: shape.context,
    attention_head_dim: 2,
    norm_num_groups: 8,
    use_linear_projection: shape.linear,
    ...(shape === XL && {
      transformer_layers_per_block: [1, 1, 2],
      addition_embed_type: 'text_time',
      addition_time_embed_dim: 8,
      projection_class_embeddings_input_dim: 16 + 6 * 8,
    }),
  };
}

const textConfig = (width: number): Record<string, unknown> => ({
  vocab_size: 50,
  hidden_size: width,
  intermediate_size: 4 * width,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  max_position_embeddings: 7,
  projection_dim: 16,
  eos_token_id: 49,
  bos_token_id: 48,
  pad_token_id: 0,
});

function outerModules(shape: UNetShape): AdaptableModule[] {
  const [first] = shape.channels as [number];
  return [
    { name: 'unet.conv_in', inFeatures: 4, outFeatures: first, kernel: [3, 3] },
    { name: 'unet.conv_out', inFeatures: first, outFeatures: 4, kernel: [3, 3] },
    { name: 'unet.time_embedding.linear_1', inFeatures: first, outFeatures: 4 * first },
    { name: 'unet.time_embedding.linear_2', inFeatures: 4 * first, outFeatures: 4 * first },
  ];
}

const ATTENTION = ['to_q', 'to_k', 'to_v', 'to_out.0', 'ff.net.0.proj', 'ff.net.2', 'proj_in', 'proj_out'];
const CONVOLUTIONS = [
  'conv1',
  'conv2',
  'conv_shortcut',
  'time_emb_proj',
  'conv',
  'conv_in',
  'conv_out',
  'linear_1',
  'linear_2',
];
const TEXT = ['k_proj', 'v_proj', 'q_proj', 'out_proj', 'fc1', 'fc2'];

interface Case {
  family: LookFamily;
  settings: Record<string, unknown>;
  /** Whether diffusers reads our kohya file in full; default true. */
  kohyaInDiffusers?: boolean;
}

const CASES: Record<string, Case> = {
  'Stable Diffusion 1, attention alone': {
    family: 'sd1',
    settings: { r: 4, lora_alpha: 4, target_modules: ATTENTION },
  },
  'Stable Diffusion 1, with convolutions and the text encoder, alpha apart': {
    family: 'sd1',
    settings: { r: 3, lora_alpha: 7, target_modules: [...ATTENTION, ...CONVOLUTIONS, ...TEXT] },
  },
  'XL, attention alone, rsLoRA': {
    family: 'sdxl',
    settings: { r: 4, lora_alpha: 3, use_rslora: true, target_modules: ATTENTION },
  },
  'Stable Diffusion 1, convolutions with a rank and an alpha of their own': {
    family: 'sd1',
    settings: {
      r: 4,
      lora_alpha: 2,
      rank_pattern: { conv1: 2, conv2: 3, 'attn2.to_q': 5, fc1: 2 },
      alpha_pattern: { conv1: 5, 'ff.net.2': 6 },
      target_modules: [...ATTENTION, ...CONVOLUTIONS, ...TEXT],
    },
  },
  'Stable Diffusion 1, attention with an alpha of its own': {
    family: 'sd1',
    settings: {
      r: 4,
      lora_alpha: 2,
      alpha_pattern: { 'attn2.to_q': 6, fc1: 3 },
      target_modules: [...ATTENTION, ...TEXT],
    },
    // From a kohya file diffusers 0.42 takes one alpha for all attention layers of a component.
    kohyaInDiffusers: false,
  },
  'Stable Diffusion 1, DoRA': {
    family: 'sd1',
    settings: { r: 4, lora_alpha: 8, use_dora: true, target_modules: ATTENTION },
    kohyaInDiffusers: false,
  },
  'XL, with convolutions and both text encoders': {
    family: 'sdxl',
    settings: { r: 4, lora_alpha: 6, target_modules: [...ATTENTION, ...CONVOLUTIONS, ...TEXT] },
  },
};

function modulesOf(family: LookFamily): AdaptableModule[] {
  const shape = family === 'sdxl' ? XL : SD1;
  const modules = [...unetModuleList(shape), ...outerModules(shape), ...textModuleList('text_encoder', 2, 20)];
  return family === 'sdxl' ? [...modules, ...textModuleList('text_encoder_2', 2, 16)] : modules;
}

/** PEFT's settings of each component, as the reference applies them. */
function peftSettings({ config, tensors }: Adapter): Record<string, unknown> {
  return Object.fromEntries(
    LOOK_COMPONENTS.flatMap((component) => {
      const own = [...tensors.keys()].filter((module) => splitComponent(module).component === component);
      if (own.length === 0) return [];
      const table = (value: (module: string) => number) =>
        Object.fromEntries(own.map((module) => [splitComponent(module).path, value(module)]));
      const settings = {
        r: config.r,
        lora_alpha: config.lora_alpha,
        use_rslora: config.use_rslora,
        use_dora: config.use_dora,
        target_modules: own.map((module) => splitComponent(module).path),
        rank_pattern: table((module) => loraScale(config, module).r),
        alpha_pattern: table((module) => loraScale(config, module).alpha),
      };
      return [[component, settings]];
    }),
  );
}

interface Made extends Case {
  name: string;
  folder: string;
  seed: number;
  adapter: Adapter;
  report?: Report;
}

let root: string;
const made: Made[] = [];

async function writeCase(name: string, { family, settings, kohyaInDiffusers = true }: Case): Promise<Made> {
  const folder = join(root, name.replace(/\W+/g, '-'));
  mkdirSync(folder);
  const seed = oneSeed() % 1e6;
  const adapter = randomAdapter(modulesOf(family), settings, seed);
  const files = ['diffusers.safetensors', ...(kohyaInDiffusers ? ['kohya.safetensors'] : [])];
  const description = {
    kind: family,
    files,
    unet: unetConfig(family === 'sdxl' ? XL : SD1),
    text_encoder: textConfig(20),
    text_encoder_2: textConfig(16),
    peft: peftSettings(adapter),
  };
  writeFileSync(join(folder, 'case.json'), JSON.stringify(description));
  const raw = [...adapter.tensors].flatMap(([module, tensors]) => lookTensorData(module, tensors));
  writeFileSync(join(folder, 'raw.safetensors'), writeSafetensors(raw));
  writeFileSync(join(folder, 'diffusers.safetensors'), writeDiffusersLora(adapter));
  if (!adapter.config.use_dora) {
    writeFileSync(join(folder, 'kohya.safetensors'), await writeKohyaLora(adapter, family));
  }
  return { name, family, settings, kohyaInDiffusers, folder, seed, adapter };
}

// One Python for all cases: it takes longer to start than to do them.
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'athanor-look-'));
  for (const [name, kase] of Object.entries(CASES)) made.push(await writeCase(name, kase));
  const run = promisify(execFile)(referencePython(), [script, ...made.map(({ folder }) => folder)], {
    maxBuffer: 2 ** 26,
  });
  // Status 1 says that something does not agree; the tests say what.
  const { stdout, stderr } = await run.catch((error: unknown) => error as { stdout: string; stderr: string });
  const lines = stdout
    .trim()
    .split('\n')
    .filter((line) => line.startsWith('{'));
  if (lines.length !== made.length) throw new Error(`look_interop.py failed\n${stdout}${stderr}`);
  lines.forEach((line, i) => {
    made[i]!.report = JSON.parse(line) as Report;
  });
});

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

interface FileKind {
  what: string;
  file: string;
  /** The scale that is expected of a module that has this one. */
  expected: (scale: number) => number;
  /** Whether DoRA's sizes have a place in it. */
  dora: boolean;
}

const FILES: readonly FileKind[] = [
  { what: 'our file for diffusers', file: 'diffusers', expected: (scale) => scale, dora: true },
  { what: 'our file for kohya', file: 'kohya', expected: (scale) => scale, dora: false },
  { what: 'what save_lora_weights writes', file: 'saved', expected: (scale) => scale, dora: true },
  // These hold no alpha, or the rank in its place.
  { what: 'what the training scripts write', file: 'script', expected: () => 1, dora: false },
  { what: 'attention processors', file: 'old', expected: () => 1, dora: false },
  { what: 'what diffusers writes for kohya', file: 'flat', expected: () => 1, dora: false },
];

describe.each(Object.keys(CASES))('%s', (name) => {
  const kase = (): Made => made.find((each) => each.name === name)!;

  test('the files do in diffusers what peft does with the same matrices', () => {
    const { seed, report, kohyaInDiffusers } = kase();
    expect(report, `seed ${seed}`).toMatchObject({ agrees: true, warnings: [] });
    expect(Object.keys(report!.errors)).toHaveLength(kohyaInDiffusers ? 2 : 1);
    // The adapter does something, else agreement means nothing.
    expect(report!.changes['unet'], `seed ${seed}`).toBeGreaterThan(1e-3);
  });

  const files = FILES.filter(({ dora }) => dora || CASES[name]!.settings['use_dora'] !== true);
  test.each(files)('$what is read back', async ({ file, expected }) => {
    const { seed, folder, adapter } = kase();
    const read = await readLookAdapter(diskFolder(folder), `${file}.safetensors`);
    expect(read.notes).toEqual([]);
    const all = [...adapter.tensors.keys()];
    const wanted = file === 'old' ? all.filter((module) => /attn[12]\.to_/.test(module)) : all;
    expect([...read.tensors.keys()].sort(), `seed ${seed}`).toEqual(wanted.sort());
    for (const module of wanted) {
      expect(read.tensors.get(module), module).toEqual(adapter.tensors.get(module));
      const { scale } = loraScale(adapter.config, module);
      expect(loraScale(read.config, module).scale, module).toBeCloseTo(expected(scale), 6);
    }
  });
});
