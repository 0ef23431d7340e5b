import type { UnetConfig } from './unet-2d-condition.ts';

/** How a tensor is stored in a one-file checkpoint, see StoredTensor. */
export interface OriginalTensor {
  name: string;
  slice?: { part: number; of: number };
  transposed?: boolean;
}

/** Parts of names, old for new; those that are not listed stay. */
const RESNET: Readonly<Record<string, string>> = {
  norm1: 'in_layers.0',
  conv1: 'in_layers.2',
  time_emb_proj: 'emb_layers.1',
  norm2: 'out_layers.0',
  conv2: 'out_layers.3',
  conv_shortcut: 'skip_connection',
};

const UNET_ENDS: Readonly<Record<string, string>> = {
  conv_in: 'input_blocks.0.0',
  'time_embedding.linear_1': 'time_embed.0',
  'time_embedding.linear_2': 'time_embed.2',
  'add_embedding.linear_1': 'label_emb.0.0',
  'add_embedding.linear_2': 'label_emb.0.2',
  conv_norm_out: 'out.0',
  conv_out: 'out.2',
  'mid_block.attentions.0': 'middle_block.1',
};

/** Replaces the longest beginning of a dotted name that is in the table. */
function replaceStart(name: string, table: Readonly<Record<string, string>>): string {
  const parts = name.split('.');
  for (let length = parts.length; length > 0; length--) {
    const start = parts.slice(0, length).join('.');
    if (Object.hasOwn(table, start)) return [table[start]!, ...parts.slice(length)].join('.');
  }
  return name;
}

type UnetLayout = Pick<UnetConfig, 'channels' | 'layersPerBlock' | 'upAttention' | 'midBlock'>;

/**
 * Path of a module or tensor of diffusers' UNet (without `unet.`) in the original Stable Diffusion's numbering of blocks
 * (without `model.diffusion_model.`).
 */
export function originalUnetName(name: string, config: UnetLayout): string {
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value + 1, 0);
  const match = /^(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)$/.exec(name);
  if (!match) {
    const mid = /^mid_block\.resnets\.(\d)\.(.+)$/.exec(name);
    // The second residual block follows the attention.
    if (mid) return `middle_block.${mid[1] === '0' ? 0 : 2}.${replaceStart(mid[2]!, RESNET)}`;
    return replaceStart(name, UNET_ENDS);
  }
  const [, way, blockText, kind, itemText, rest] = match as unknown as [string, string, string, string, string, string];
  const [block, item] = [Number(blockText), Number(itemText)];
  const { layersPerBlock, upAttention, channels } = config;
  if (way === 'down') {
    const first = 1 + sum(layersPerBlock.slice(0, block));
    if (kind === 'downsamplers')
      return `input_blocks.${first + layersPerBlock[block]!}.0.${rest.replace(/^conv\b/, 'op')}`;
    const place = `input_blocks.${first + item}`;
    return kind === 'resnets' ? `${place}.0.${replaceStart(rest, RESNET)}` : `${place}.1.${rest}`;
  }
  const layers = [...layersPerBlock].reverse();
  const first = sum(layers.slice(0, block));
  if (kind === 'upsamplers') {
    const hasAttention = upAttention[channels.length - 1 - block];
    return `output_blocks.${first + layers[block]!}.${hasAttention ? 2 : 1}.${rest}`;
  }
  const place = `output_blocks.${first + item}`;
  return kind === 'resnets' ? `${place}.0.${replaceStart(rest, RESNET)}` : `${place}.1.${rest}`;
}

const VAE_ATTENTION: Readonly<Record<string, string>> = {
  group_norm: 'norm',
  to_q: 'q',
  to_k: 'k',
  to_v: 'v',
  'to_out.0': 'proj_out',
};

/** The same for the autoencoder (without `vae.`; the original's `first_stage_model.`). */
export function originalVaeName(name: string, levels: number): string {
  const inBlock = /^(encoder|decoder)\.(down|up)_blocks\.(\d+)\.(resnets|downsamplers|upsamplers)\.(\d+)\.(.+)$/.exec(
    name,
  );
  if (inBlock) {
    const [, side, way, blockText, kind, item, rest] = inBlock as unknown as string[];
    // On the way up the original counts from the largest pictures.
    const block = way === 'up' ? levels - 1 - Number(blockText) : Number(blockText);
    const place = `${side}.${way}.${block}`;
    if (kind !== 'resnets') return `${place}.${kind === 'downsamplers' ? 'downsample' : 'upsample'}.${rest}`;
    return `${place}.block.${item}.${replaceStart(rest!, { conv_shortcut: 'nin_shortcut' })}`;
  }
  const mid = /^(encoder|decoder)\.mid_block\.(resnets|attentions)\.(\d)\.(.+)$/.exec(name);
  if (mid) {
    const [, side, kind, item, rest] = mid as unknown as string[];
    if (kind === 'resnets')
      return `${side}.mid.block_${Number(item) + 1}.${replaceStart(rest!, { conv_shortcut: 'nin_shortcut' })}`;
    return `${side}.mid.attn_1.${replaceStart(rest!, VAE_ATTENTION)}`;
  }
  return name.replace(/^(encoder|decoder)\.conv_norm_out\./, '$1.norm_out.');
}

const OPEN_CLIP_LAYER: Readonly<Record<string, string>> = {
  layer_norm1: 'ln_1',
  layer_norm2: 'ln_2',
  'mlp.fc1': 'mlp.c_fc',
  'mlp.fc2': 'mlp.c_proj',
  'self_attn.out_proj': 'attn.out_proj',
};

/** OpenCLIP's name of a tensor of CLIPTextModelWithProjection: q, k and v are one matrix, the projection is transposed. */
export function openClipName(name: string): OriginalTensor {
  if (name === 'text_projection.weight') return { name: 'text_projection', transposed: true };
  const attention = /^text_model\.encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(weight|bias)$/.exec(name);
  if (attention) {
    const [, layer, which, what] = attention as unknown as [string, string, string, string];
    return {
      name: `transformer.resblocks.${layer}.attn.in_proj_${what}`,
      slice: { part: 'qkv'.indexOf(which), of: 3 },
    };
  }
  const layer = /^text_model\.encoder\.layers\.(\d+)\.(.+)$/.exec(name);
  if (layer) return { name: `transformer.resblocks.${layer[1]}.${replaceStart(layer[2]!, OPEN_CLIP_LAYER)}` };
  return {
    name: replaceStart(name, {
      'text_model.embeddings.token_embedding': 'token_embedding',
      'text_model.embeddings.position_embedding.weight': 'positional_embedding',
      'text_model.final_layer_norm': 'ln_final',
    }),
  };
}
