/** Stable Diffusion 1.5's configurations, and random weights in place of its own. */
import type { Graph, WeightSpec } from '../../src/engine/graph.ts';
import { elementCount } from '../../src/engine/tensor.ts';
import type { WeightSource } from '../../src/engine/weights.ts';
import { randomBytes } from '../random-weights.ts';

/** The fields of the published config.json files that are not the classes' defaults. */
export const CONFIGS = {
  unet: {
    _class_name: 'UNet2DConditionModel',
    in_channels: 4,
    out_channels: 4,
    sample_size: 64,
    block_out_channels: [320, 640, 1280, 1280],
    down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
    up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
    mid_block_type: 'UNetMidBlock2DCrossAttn',
    layers_per_block: 2,
    attention_head_dim: 8,
    cross_attention_dim: 768,
    norm_num_groups: 32,
    act_fn: 'silu',
  },
  vae: {
    _class_name: 'AutoencoderKL',
    in_channels: 3,
    out_channels: 3,
    latent_channels: 4,
    sample_size: 512,
    block_out_channels: [128, 256, 512, 512],
    down_block_types: Array.from({ length: 4 }, () => 'DownEncoderBlock2D'),
    up_block_types: Array.from({ length: 4 }, () => 'UpDecoderBlock2D'),
    layers_per_block: 2,
    norm_num_groups: 32,
    act_fn: 'silu',
  },
  text_encoder: {
    architectures: ['CLIPTextModel'],
    model_type: 'clip_text_model',
    vocab_size: 49408,
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    max_position_embeddings: 77,
    hidden_act: 'quick_gelu',
    layer_norm_eps: 1e-5,
    bos_token_id: 0,
    eos_token_id: 2,
    pad_token_id: 1,
  },
  scheduler: {
    _class_name: 'PNDMScheduler',
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: 'scaled_linear',
    num_train_timesteps: 1000,
    prediction_type: 'epsilon',
    set_alpha_to_one: false,
    skip_prk_steps: true,
    steps_offset: 1,
    clip_sample: false,
  },
} as const;

/** Random weights straight to the device: matrices f16, vectors f32. */
export const RANDOM: WeightSource = {
  async *stream(name: string, shape: readonly number[], dtype: WeightSpec['dtype']) {
    await Promise.resolve();
    if (dtype === 'f16') yield* randomBytes(name, shape);
    else yield new Uint8Array(new Float32Array(elementCount(shape)).fill(name.endsWith('.bias') ? 0 : 1).buffer);
  },
};

/** Tensors as a diffusers file holds them, convolutions as [O, C, height, width]. */
export function fileTensors(graph: Graph): { name: string; shape: readonly number[] }[] {
  return [...graph.weights.values()].flatMap(({ spec }) =>
    spec.sources.map(({ name, shape, kernel }) => ({
      name,
      shape: kernel ? [shape[0]!, shape[1]! / (kernel[0] * kernel[1]), ...kernel] : shape,
    })),
  );
}
