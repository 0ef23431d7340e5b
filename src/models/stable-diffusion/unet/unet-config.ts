import { UserError } from '../../../common/errors.ts';
import { ConfigReader } from '../../files/config-reader.ts';
import { halved } from '../../layers/resnet.ts';

/** diffusers' UNet2DConditionModel as its config.json states it: Stable Diffusion 1 and 2, SDXL, and smaller ones of their kind. */
export interface UnetConfig {
  inChannels: number;
  outChannels: number;
  /** Latent height and width that it was trained at; null where the configuration does not say. */
  sampleSize: [number, number] | null;
  /** Channels of each level, from the largest pictures to the smallest. */
  channels: readonly number[];
  /** Which levels have transformers on the way down, and on the way up (here too from the largest pictures). */
  downAttention: readonly boolean[];
  upAttention: readonly boolean[];
  midBlock: boolean;
  /** Residual blocks a level on the way down; one more on the way up. */
  layersPerBlock: readonly number[];
  /** Heads of each level's attention (the configuration calls them attention_head_dim). */
  heads: readonly number[];
  /** Transformer blocks of each level's transformers. */
  depths: readonly number[];
  /** The first of a transformer block's two attentions looks at the text as well. */
  onlyCrossAttention: readonly boolean[];
  /** Features of the text's states. */
  contextDim: number;
  /** Projections around transformers are stored as linear layers instead of convolutions of 1 by 1. */
  linearProjection: boolean;
  groups: number;
  eps: number;
  downsamplePadding: number;
  /** What the middle block's sums are divided by. */
  midDivisor: number;
  centerInput: boolean;
  convInKernel: number;
  convOutKernel: number;
  /** Channels of the time embedding. */
  timeDim: number;
  /** Cosines come before sines in the features of a timestep. */
  flipSinToCos: boolean;
  freqShift: number;
  /** SDXL's size conditioning: features of each of six numbers, and those of the text's summary. */
  added: { timeDim: number; textDim: number } | null;
}

/** Numbers that SDXL is told: original height and width, the crop's top and left, target height and width. */
export const TIME_IDS = 6;

const DOWN = ['CrossAttnDownBlock2D', 'DownBlock2D'] as const;
const UP = ['CrossAttnUpBlock2D', 'UpBlock2D'] as const;

/** Fields whose other values change the computation in ways that are not built. */
const EXPECTED = {
  dropout: 0,
  dual_cross_attention: false,
  encoder_hid_dim: null,
  encoder_hid_dim_type: null,
  class_embed_type: null,
  num_class_embeds: null,
  class_embeddings_concat: false,
  resnet_time_scale_shift: 'default',
  resnet_skip_time_act: false,
  resnet_out_scale_factor: 1,
  time_embedding_type: 'positional',
  time_embedding_act_fn: null,
  timestep_post_act: null,
  time_cond_proj_dim: null,
  attention_type: 'default',
  cross_attention_norm: null,
  reverse_transformer_layers_per_block: null,
} as const;

function sampleSize(config: ConfigReader): [number, number] | null {
  const value = config.values['sample_size'];
  if (value === undefined || value === null) return null;
  if (Array.isArray(value)) {
    const [height, width] = config.sizes('sample_size', [], 2);
    return [height!, width!];
  }
  const side = config.size('sample_size');
  return [side, side];
}

function addedConditions(config: ConfigReader): UnetConfig['added'] {
  if (!config.has('addition_embed_type')) return null;
  config.choice('addition_embed_type', ['text_time'], 'text_time');
  const timeDim = config.size('addition_time_embed_dim');
  const textDim = config.size('projection_class_embeddings_input_dim') - TIME_IDS * timeDim;
  if (textDim < 1) {
    throw config.wrong(
      'projection_class_embeddings_input_dim',
      `it must be ${TIME_IDS} times addition_time_embed_dim and the text's summary`,
    );
  }
  return { timeDim, textDim };
}

function contextDim(config: ConfigReader, levels: number): number {
  const dims = config.sizePerBlock('cross_attention_dim', levels, 1280);
  if (new Set(dims).size > 1) throw config.wrong('cross_attention_dim', 'one number for all blocks is supported');
  return dims[0]!;
}

function padding(config: ConfigReader): number {
  const value = config.number('downsample_padding', 1);
  if (value !== 0 && value !== 1) throw config.wrong('downsample_padding', 'supported are 0 and 1');
  return value;
}

/** A kernel that keeps the size. */
function oddKernel(config: ConfigReader, name: string): number {
  const kernel = config.size(name, 3);
  if (kernel % 2 === 0 || kernel > 15) throw config.wrong(name, 'an odd number up to 15 is needed');
  return kernel;
}

/** Throws UserError, naming the field, for what is missing, wrong or not supported. */
export function parseUnetConfig(json: unknown, file = 'unet/config.json'): UnetConfig {
  const config = new ConfigReader(json, file);
  config.expect(EXPECTED);
  config.choice('act_fn', ['silu', 'swish'], 'silu');
  const channels = config.sizes('block_out_channels', [320, 640, 1280, 1280]);
  const levels = channels.length;
  const down = config.choices('down_block_types', DOWN, [DOWN[0], DOWN[0], DOWN[0], DOWN[1]], levels);
  const up = config.choices('up_block_types', UP, [UP[1], UP[0], UP[0], UP[0]], levels);
  const midBlock = config.values['mid_block_type'] !== null;
  if (midBlock) config.choice('mid_block_type', ['UNetMidBlock2DCrossAttn'], 'UNetMidBlock2DCrossAttn');
  const heads = config.sizePerBlock(
    config.has('num_attention_heads') ? 'num_attention_heads' : 'attention_head_dim',
    levels,
    8,
  );
  const groups = config.size('norm_num_groups', 32);
  const unet: UnetConfig = {
    inChannels: config.size('in_channels', 4),
    outChannels: config.size('out_channels', 4),
    sampleSize: sampleSize(config),
    channels,
    downAttention: down.map((type) => type === DOWN[0]),
    upAttention: up.map((type) => type === UP[0]).reverse(),
    midBlock,
    layersPerBlock: config.sizePerBlock('layers_per_block', levels, 2),
    heads,
    depths: config.sizePerBlock('transformer_layers_per_block', levels, 1),
    onlyCrossAttention: config.flagPerBlock('only_cross_attention', levels, false),
    contextDim: contextDim(config, levels),
    linearProjection: config.flag('use_linear_projection', false),
    groups,
    eps: config.number('norm_eps', 1e-5),
    downsamplePadding: padding(config),
    midDivisor: config.number('mid_block_scale_factor', 1),
    centerInput: config.flag('center_input_sample', false),
    convInKernel: oddKernel(config, 'conv_in_kernel'),
    convOutKernel: oddKernel(config, 'conv_out_kernel'),
    timeDim: config.size('time_embedding_dim', 4 * channels[0]!),
    flipSinToCos: config.flag('flip_sin_to_cos', true),
    freqShift: config.number('freq_shift', 0),
    added: addedConditions(config),
  };
  checkDivisions(config, unet);
  return unet;
}

function checkDivisions(config: ConfigReader, unet: UnetConfig): void {
  unet.channels.forEach((channels, level) => {
    if (channels % unet.groups !== 0)
      throw config.wrong('norm_num_groups', `it must divide the ${channels} channels of block ${level}`);
    const hasAttention =
      unet.downAttention[level] || unet.upAttention[level] || (unet.midBlock && level === unet.channels.length - 1);
    const heads = unet.heads[level]!;
    if (hasAttention && (channels % heads !== 0 || channels / heads > 256)) {
      throw config.wrong(
        'attention_head_dim',
        `so many heads must divide the ${channels} channels of block ${level} into at most 256 each`,
      );
    }
  });
}

/** Latent sides that are multiples of this halve evenly all the way down. */
export const unetSizeMultiple = ({ channels }: UnetConfig): number => 2 ** (channels.length - 1);

/** Height and width at every level. Throws UserError for latents that cannot come up again to the size they went down from. */
export function levelSizes(
  config: UnetConfig,
  { height, width }: { height: number; width: number },
): { height: number; width: number }[] {
  const sizes = [{ height, width }];
  while (sizes.length < config.channels.length) {
    const { height: h, width: w } = sizes.at(-1)!;
    if (h < 1 || w < 1 || (config.downsamplePadding === 0 && (h % 2 !== 0 || w % 2 !== 0))) {
      const multiple = unetSizeMultiple(config);
      throw new UserError(
        `Latents of ${height} × ${width} do not suit this base: both sides must be multiples of ${multiple}.`,
      );
    }
    sizes.push(halved(sizes.at(-1)!, config.downsamplePadding));
  }
  return sizes;
}
