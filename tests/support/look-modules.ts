import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Adapter, LoraTensors } from '../../src/adapters/peft.ts';
import { parseLoraConfig } from '../../src/adapters/lora-config.ts';
import { initLora } from '../../src/adapters/init.ts';
import { resolveTargets } from '../../src/adapters/targets.ts';
import type { AdaptableModule } from '../../src/adapters/targets.ts';
import { Random } from './matmul.ts';

export interface UNetShape {
  channels: readonly number[];
  /** Transformer blocks of each level's attentions, 0 for none; the up blocks mirror it. */
  depths: readonly number[];
  midDepth: number;
  layersPerBlock: number;
  context: number;
  /** proj_in and proj_out are linear layers (XL), not convolutions of 1 by 1. */
  linear: boolean;
}

export const SD15: UNetShape = {
  channels: [320, 640, 1280, 1280],
  depths: [1, 1, 1, 0],
  midDepth: 1,
  layersPerBlock: 2,
  context: 768,
  linear: false,
};

export const SDXL: UNetShape = {
  channels: [320, 640, 1280],
  depths: [0, 2, 10],
  midDepth: 10,
  layersPerBlock: 2,
  context: 2048,
  linear: true,
};

/** The modules of a UNet2DConditionModel that an image LoRA may adapt, by diffusers' rules; conv_in and its kind left out. */
export function unetModuleList({
  channels,
  depths,
  midDepth,
  layersPerBlock,
  context,
  linear,
}: UNetShape): AdaptableModule[] {
  const modules: AdaptableModule[] = [];
  const time = channels[0]! * 4;
  const add = (name: string, inFeatures: number, outFeatures: number, kernel?: [number, number]) =>
    modules.push({ name: `unet.${name}`, inFeatures, outFeatures, ...(kernel && { kernel }) });
  const resnet = (name: string, from: number, to: number): void => {
    add(`${name}.conv1`, from, to, [3, 3]);
    add(`${name}.time_emb_proj`, time, to);
    add(`${name}.conv2`, to, to, [3, 3]);
    if (from !== to) add(`${name}.conv_shortcut`, from, to, [1, 1]);
  };
  const attention = (name: string, width: number, depth: number): void => {
    const one: [number, number] | undefined = linear ? undefined : [1, 1];
    add(`${name}.proj_in`, width, width, one);
    for (let block = 0; block < depth; block++) {
      const start = `${name}.transformer_blocks.${block}`;
      for (const [attn, keys] of [
        ['attn1', width],
        ['attn2', context],
      ] as const) {
        add(`${start}.${attn}.to_q`, width, width);
        add(`${start}.${attn}.to_k`, keys, width);
        add(`${start}.${attn}.to_v`, keys, width);
        add(`${start}.${attn}.to_out.0`, width, width);
      }
      add(`${start}.ff.net.0.proj`, width, 8 * width);
      add(`${start}.ff.net.2`, 4 * width, width);
    }
    add(`${name}.proj_out`, width, width, one);
  };
  const last = channels.length - 1;
  const skips = [channels[0]!];
  let from = channels[0]!;
  channels.forEach((to, level) => {
    for (let layer = 0; layer < layersPerBlock; layer++) {
      resnet(`down_blocks.${level}.resnets.${layer}`, layer === 0 ? from : to, to);
      if (depths[level]! > 0) attention(`down_blocks.${level}.attentions.${layer}`, to, depths[level]!);
      skips.push(to);
    }
    if (level < last) {
      add(`down_blocks.${level}.downsamplers.0.conv`, to, to, [3, 3]);
      skips.push(to);
    }
    from = to;
  });
  resnet('mid_block.resnets.0', from, from);
  attention('mid_block.attentions.0', from, midDepth);
  resnet('mid_block.resnets.1', from, from);
  for (let block = 0; block <= last; block++) {
    const to = channels[last - block]!;
    for (let layer = 0; layer <= layersPerBlock; layer++) {
      resnet(`up_blocks.${block}.resnets.${layer}`, from + skips.pop()!, to);
      if (depths[last - block]! > 0) attention(`up_blocks.${block}.attentions.${layer}`, to, depths[last - block]!);
      from = to;
    }
    if (block < last) add(`up_blocks.${block}.upsamplers.0.conv`, to, to, [3, 3]);
  }
  return modules;
}

export function textModuleList(component: string, layers: number, width: number): AdaptableModule[] {
  return Array.from({ length: layers }, (_, layer) => {
    const start = `${component}.text_model.encoder.layers.${layer}`;
    return [
      ...['k', 'v', 'q', 'out'].map((name) => ({
        name: `${start}.self_attn.${name}_proj`,
        inFeatures: width,
        outFeatures: width,
      })),
      { name: `${start}.mlp.fc1`, inFeatures: width, outFeatures: 4 * width },
      { name: `${start}.mlp.fc2`, inFeatures: 4 * width, outFeatures: width },
    ];
  }).flat();
}

/** An adapter of random A and B on all that the settings name. */
export function randomAdapter(
  modules: readonly AdaptableModule[],
  settings: Record<string, unknown>,
  seed: number,
): Adapter {
  const config = parseLoraConfig({ task_type: null, ...settings });
  const random = new Random(seed);
  const tensors = new Map(
    [...initLora(resolveTargets(config, modules), config, seed)].map(([name, module]): [string, LoraTensors] => [
      name,
      {
        ...module,
        B: random.normal(module.B.length),
        ...(config.use_dora && { magnitude: random.normal(module.outFeatures) }),
      },
    ]),
  );
  return { config, tensors };
}

/** A row of the lists of kohya's names: name, shape of the base's weight. */
export function keyList(file: string): { name: string; shape: number[] }[] | null {
  const root = process.env['ATHANOR_SHARED'] ?? new URL('../../../shared', import.meta.url).pathname;
  const path = join(root, 'formats', file);
  if (!existsSync(path)) return null;
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [name, shape] = line.split('\t') as [string, string];
      return { name, shape: shape.match(/\d+/g)!.map(Number) };
    });
}
