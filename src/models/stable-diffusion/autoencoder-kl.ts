import type { InputData } from '../../engine/program.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { ModelBuilder } from '../layers/builder.ts';
import { ConfigReader } from '../files/config-reader.ts';
import { toRows } from '../layers/feature-rows.ts';
import type { Pictures } from '../layers/resnet.ts';
import { conv1, conv3, downsample, pixelsOf, resnet, upsample } from '../layers/resnet.ts';
import { rangesByImage } from '../layers/ranges.ts';

/** diffusers' AutoencoderKL (Rombach et al., arXiv:2112.10752) as its config.json states it. */
export interface VaeConfig {
  inChannels: number;
  outChannels: number;
  latentChannels: number;
  channels: readonly number[];
  layersPerBlock: number;
  groups: number;
  /** Latents are (encoded - shiftFactor) · scalingFactor where the UNet sees them. */
  scalingFactor: number;
  shiftFactor: number;
  /** Pixels a side that it was trained at. */
  sampleSize: number;
  quantConv: boolean;
  postQuantConv: boolean;
  midAttention: boolean;
}

const EPS = 1e-6;
const WIDEST_HEAD = 512;

/** Throws UserError, naming the field, for what is missing, wrong or not supported. */
export function parseVaeConfig(json: unknown, file = 'vae/config.json'): VaeConfig {
  const config = new ConfigReader(json, file);
  config.expect({ latents_mean: null, latents_std: null });
  config.choice('act_fn', ['silu', 'swish'], 'silu');
  const channels = config.sizes('block_out_channels', [64]);
  config.choices('down_block_types', ['DownEncoderBlock2D'], ['DownEncoderBlock2D'], channels.length);
  config.choices('up_block_types', ['UpDecoderBlock2D'], ['UpDecoderBlock2D'], channels.length);
  const groups = config.size('norm_num_groups', 32);
  for (const count of channels) {
    if (count % groups !== 0)
      throw config.wrong('norm_num_groups', `it must divide the ${count} channels of each block`);
  }
  const midAttention = config.flag('mid_block_add_attention', true);
  if (midAttention && channels.at(-1)! > WIDEST_HEAD)
    throw config.wrong('block_out_channels', `the last may be at most ${WIDEST_HEAD}`);
  const sample = config.values['sample_size'];
  return {
    inChannels: config.size('in_channels', 3),
    outChannels: config.size('out_channels', 3),
    latentChannels: config.size('latent_channels', 4),
    channels,
    layersPerBlock: config.size('layers_per_block', 1),
    groups,
    scalingFactor: config.number('scaling_factor', 0.18215),
    shiftFactor: config.number('shift_factor', 0),
    sampleSize: Array.isArray(sample) ? config.sizes('sample_size', [], 2)[0]! : config.size('sample_size', 32),
    quantConv: config.flag('use_quant_conv', true),
    postQuantConv: config.flag('use_post_quant_conv', true),
    midAttention,
  };
}

/** Pixels of one latent, a side. */
export const latentFactor = ({ channels }: VaeConfig): number => 2 ** (channels.length - 1);

/** Latent height and width of pictures: each level but the last halves, rounding down. */
export function latentSize(config: VaeConfig, { height, width }: { height: number; width: number }) {
  const factor = latentFactor(config);
  return { height: Math.floor(height / factor), width: Math.floor(width / factor) };
}

/** The middle: attention of one head over all pixels of an image, between two residual blocks. */
function middle(b: ModelBuilder, config: VaeConfig, input: Tensor, name: string, pictures: Pictures, ranges: Tensor) {
  const channels = config.channels.at(-1)!;
  const options = { inChannels: channels, outChannels: channels, pictures, groups: config.groups, eps: EPS };
  let x = resnet(b, input, `${name}.resnets.0`, options);
  if (config.midAttention) {
    const attention = `${name}.attentions.0`;
    const linear = (part: string) => [
      { name: `${attention}.${part}`, inFeatures: channels, outFeatures: channels, bias: true },
    ];
    const norm = { images: pictures.images, groups: config.groups, eps: EPS, activation: null };
    const normed = b.groupNorm(x, `${attention}.group_norm`, channels, norm);
    const [q, k, v] = ['to_q', 'to_k', 'to_v'].map((part) => b.projections(normed, linear(part)));
    const { o } = b.graph.emit(
      'attention',
      { q: q!, k: k!, v: v!, keyRanges: ranges },
      {
        heads: 1,
        kvHeads: 1,
        headDim: channels,
        scale: channels ** -0.5,
        qOffset: 0,
        kOffset: 0,
        vOffset: 0,
        density: 1 / pictures.images,
      },
    );
    x = b.projections(o, linear('to_out.0'), x);
  }
  return resnet(b, x, `${name}.resnets.1`, options);
}

/**
 * Mean and logarithm of the variance of the latents, side by side: [images · h · w, 2 · latentChannels]. Pictures of any
 * size from latentFactor on. Declares the inputs `pixels` [images · height · width, inChannels] from -1 to 1 and `ranges`.
 */
export function vaeEncoder(b: ModelBuilder, config: VaeConfig, prefix: string, shape: Pictures): Tensor {
  const { channels, groups, latentChannels } = config;
  const name = `${prefix}.encoder`;
  let pictures = shape;
  let x = b.graph.input('pixels', [shape.images * pixelsOf(shape), config.inChannels]);
  x = b.conv(x, conv3(`${name}.conv_in`, config.inChannels, channels[0]!), pictures);
  channels.forEach((outChannels, level) => {
    const block = `${name}.down_blocks.${level}`;
    for (let i = 0; i < config.layersPerBlock; i++) {
      const inChannels = i === 0 ? channels[Math.max(0, level - 1)]! : outChannels;
      x = resnet(b, x, `${block}.resnets.${i}`, { inChannels, outChannels, pictures, groups, eps: EPS });
    }
    if (level < channels.length - 1)
      ({ y: x, pictures } = downsample(b, x, `${block}.downsamplers.0`, outChannels, pictures, 0));
  });
  const ranges = b.graph.input('ranges', [pictures.images * pixelsOf(pictures), 2], 'u32');
  x = middle(b, config, x, `${name}.mid_block`, pictures, ranges);
  const last = channels.at(-1)!;
  const norm = { images: pictures.images, groups, eps: EPS, activation: 'silu' } as const;
  x = b.groupNorm(x, `${name}.conv_norm_out`, last, norm);
  x = b.conv(x, conv3(`${name}.conv_out`, last, 2 * latentChannels), pictures);
  if (!config.quantConv) return x;
  return b.conv(x, conv1(`${prefix}.quant_conv`, 2 * latentChannels, 2 * latentChannels), pictures);
}

/**
 * Pictures [images · H · W, outChannels], about -1 to 1, of latents (before the scaling). Declares the inputs `latents`
 * [images · height · width, latentChannels] and `ranges`; height and width are those of the latents.
 */
export function vaeDecoder(b: ModelBuilder, config: VaeConfig, prefix: string, shape: Pictures): Tensor {
  const { channels, groups, latentChannels } = config;
  const name = `${prefix}.decoder`;
  const levels = channels.length;
  let pictures = shape;
  let x = b.graph.input('latents', [shape.images * pixelsOf(shape), latentChannels]);
  if (config.postQuantConv) x = b.conv(x, conv1(`${prefix}.post_quant_conv`, latentChannels, latentChannels), pictures);
  x = b.conv(x, conv3(`${name}.conv_in`, latentChannels, channels.at(-1)!), pictures);
  const ranges = b.graph.input('ranges', [pictures.images * pixelsOf(pictures), 2], 'u32');
  x = middle(b, config, x, `${name}.mid_block`, pictures, ranges);
  for (let level = levels - 1; level >= 0; level--) {
    const block = `${name}.up_blocks.${levels - 1 - level}`;
    const outChannels = channels[level]!;
    for (let i = 0; i <= config.layersPerBlock; i++) {
      const inChannels = i === 0 ? channels[Math.min(level + 1, levels - 1)]! : outChannels;
      x = resnet(b, x, `${block}.resnets.${i}`, { inChannels, outChannels, pictures, groups, eps: EPS });
    }
    if (level > 0) ({ y: x, pictures } = upsample(b, x, `${block}.upsamplers.0`, outChannels, pictures));
  }
  const norm = { images: pictures.images, groups, eps: EPS, activation: 'silu' } as const;
  x = b.groupNorm(x, `${name}.conv_norm_out`, channels[0]!, norm);
  return b.conv(x, conv3(`${name}.conv_out`, channels[0]!, config.outChannels), pictures);
}

/** Values for the encoder's inputs. @param pixels [N, inChannels, height, width], from -1 to 1 */
export function vaeEncoderInputs(
  config: VaeConfig,
  shape: Pictures,
  pixels: ArrayLike<number>,
): Record<string, InputData> {
  const latents = pixelsOf({ ...shape, ...latentSize(config, shape) });
  return {
    pixels: toRows(pixels, config.inChannels, pixelsOf(shape)),
    ranges: rangesByImage(shape.images, latents, latents),
  };
}

/** Values for the decoder's inputs. @param latents [N, latentChannels, height, width], their scaling undone */
export function vaeDecoderInputs(
  config: VaeConfig,
  shape: Pictures,
  latents: ArrayLike<number>,
): Record<string, InputData> {
  return {
    latents: toRows(latents, config.latentChannels, pixelsOf(shape)),
    ranges: rangesByImage(shape.images, pixelsOf(shape), pixelsOf(shape)),
  };
}
