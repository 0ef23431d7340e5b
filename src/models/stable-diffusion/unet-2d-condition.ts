import { operand, silu } from '../../engine/ops/expression.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { ModelBuilder, Projection } from '../layers/builder.ts';
import { adaptableProjections } from '../layers/builder.ts';
import type { Pictures } from '../layers/resnet.ts';
import { downsample, resnet, upsample } from '../layers/resnet.ts';
import type { UnetConfig } from './unet/unet-config.ts';
import { TIME_IDS, levelSizes, unetSizeMultiple } from './unet/unet-config.ts';
import type { UnetShape, UnetTensors } from './unet/inputs.ts';
import { declareUnet } from './unet/inputs.ts';
import { transformer } from './unet/transformer.ts';

export type { UnetConfig } from './unet/unet-config.ts';
export { TIME_IDS, parseUnetConfig, unetSizeMultiple } from './unet/unet-config.ts';
export type { UnetShape, UnetTensors, UnetValues } from './unet/inputs.ts';
export { unetInputs } from './unet/inputs.ts';

export interface UnetOptions {
  /** Whether gradients run through it. */
  training: boolean;
  /** Text states [images · contextLength, contextDim] computed in the same graph. */
  context?: Tensor | undefined;
  /** SDXL: the text's summary [images, added.textDim] computed in the same graph. */
  textEmbeds?: Tensor | undefined;
}

/** SiLU of the time embedding, which every residual block projects for itself; [images, timeDim]. */
function timeEmbedding(b: ModelBuilder, config: UnetConfig, prefix: string, inputs: UnetTensors): Tensor {
  const { graph } = b;
  const { timeDim } = config;
  const embed = (x: Tensor, name: string, features: number): Tensor => {
    const linear = (part: string, inFeatures: number) => [
      { name: `${prefix}.${name}.${part}`, inFeatures, outFeatures: timeDim, bias: true },
    ];
    const hidden = graph.map(silu(operand(0)), [b.projections(x, linear('linear_1', features))]);
    return b.projections(hidden, linear('linear_2', timeDim));
  };
  let embedding = embed(inputs.timeFeatures, 'time_embedding', config.channels[0]!);
  if (config.added && inputs.added) {
    const { timeIdFeatures, textEmbeds } = inputs.added;
    const told = graph.emit('concat', { x0: textEmbeds, x1: timeIdFeatures }, {}).y;
    const features = config.added.textDim + TIME_IDS * config.added.timeDim;
    embedding = graph.add(embedding, embed(told, 'add_embedding', features));
  }
  return graph.map(silu(operand(0)), [embedding]);
}

/**
 * diffusers' UNet2DConditionModel (Rombach et al., arXiv:2112.10752; Podell et al., arXiv:2307.01952). Declares its inputs
 * (see declareUnet; unetInputs gives their values) and returns what the model says of the noise, [images · height · width,
 * outChannels]. Each residual block, transformer block and resampling is one unit of recomputation; what goes across from
 * the way down to the way up is kept. Throws UserError where the latents' sides do not suit the model.
 */
export function unet(
  b: ModelBuilder,
  config: UnetConfig,
  prefix: string,
  shape: UnetShape,
  options: UnetOptions,
): Tensor {
  const inputs = declareUnet(b.graph, config, shape, options);
  const { channels, groups, eps } = config;
  const time = { embedding: timeEmbedding(b, config, prefix, inputs), channels: config.timeDim };
  const levels = channels.length;
  const sizes = levelSizes(config, shape);
  const top: Pictures = { images: shape.images, height: shape.height, width: shape.width };
  const outer = (name: string, inFeatures: number, outFeatures: number, kernel: number): Projection => ({
    name: `${prefix}.${name}`,
    inFeatures,
    outFeatures,
    bias: true,
    kernel: [kernel, kernel],
  });
  const attend = (
    x: Tensor,
    name: string,
    level: number,
    pictures: Pictures,
    onlyCrossAttention = config.onlyCrossAttention[level]!,
  ): Tensor =>
    transformer(b, x, name, {
      channels: channels[level]!,
      heads: config.heads[level]!,
      depth: config.depths[level]!,
      onlyCrossAttention,
      linearProjection: config.linearProjection,
      pictures,
      groups,
      context: inputs.context,
      contextDim: config.contextDim,
      ranges: inputs.ranges[level]!,
    });

  let x = b.conv(inputs.sample, outer('conv_in', config.inChannels, channels[0]!, config.convInKernel), top);
  let pictures = top;
  /** What is taken across, with its channels. */
  const across: { tensor: Tensor; channels: number }[] = [{ tensor: x, channels: channels[0]! }];
  const common = { groups, eps, time };

  for (let level = 0; level < levels; level++) {
    const name = `${prefix}.down_blocks.${level}`;
    const outChannels = channels[level]!;
    for (let i = 0; i < config.layersPerBlock[level]!; i++) {
      const inChannels = i === 0 ? channels[Math.max(0, level - 1)]! : outChannels;
      x = resnet(b, x, `${name}.resnets.${i}`, { ...common, inChannels, outChannels, pictures });
      if (config.downAttention[level]) x = attend(x, `${name}.attentions.${i}`, level, pictures);
      across.push({ tensor: x, channels: outChannels });
    }
    if (level < levels - 1) {
      const smaller = downsample(b, x, `${name}.downsamplers.0`, outChannels, pictures, config.downsamplePadding);
      ({ y: x, pictures } = smaller);
      across.push({ tensor: x, channels: outChannels });
    }
  }

  let before = channels[levels - 1]!;
  if (config.midBlock) {
    const name = `${prefix}.mid_block`;
    const middle = { inChannels: before, outChannels: before, pictures, divisor: config.midDivisor };
    // Its transformer is of the last level's depth, and never looks at the text alone.
    x = resnet(b, x, `${name}.resnets.0`, { ...common, ...middle });
    x = attend(x, `${name}.attentions.0`, levels - 1, pictures, false);
    x = resnet(b, x, `${name}.resnets.1`, { ...common, ...middle });
  }

  for (let level = levels - 1; level >= 0; level--) {
    const name = `${prefix}.up_blocks.${levels - 1 - level}`;
    const outChannels = channels[level]!;
    for (let i = 0; i <= config.layersPerBlock[level]!; i++) {
      const skip = across.pop()!;
      const sides = { inChannels: before + skip.channels, outChannels, pictures, skip: skip.tensor };
      x = resnet(b, x, `${name}.resnets.${i}`, { ...common, ...sides });
      if (config.upAttention[level]) x = attend(x, `${name}.attentions.${i}`, level, pictures);
      before = outChannels;
    }
    if (level > 0)
      ({ y: x, pictures } = upsample(b, x, `${name}.upsamplers.0`, outChannels, pictures, sizes[level - 1]));
  }

  const norm = { images: shape.images, groups, eps, activation: 'silu' } as const;
  const normed = b.groupNorm(x, `${prefix}.conv_norm_out`, channels[0]!, norm);
  return b.conv(normed, outer('conv_out', channels[0]!, config.outChannels, config.convOutKernel), top);
}

/** The layers that LoRA may be asked to adapt, under diffusers' names with the component's prefix. */
export function unetModules(config: UnetConfig, prefix = 'unet'): Projection[] {
  const side = unetSizeMultiple(config);
  const shape = { images: 1, height: side, width: side, contextLength: 1 };
  return adaptableProjections((b) => {
    unet(b, config, prefix, shape, { training: false });
  });
}
