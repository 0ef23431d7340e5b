/** The configurations of Stable Diffusion 1.5 and SDXL, which a one-file checkpoint does not carry. Their classes' defaults are left out. */

const CLIP_L = {
  model_type: 'clip_text_model',
  hidden_size: 768,
  intermediate_size: 3072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  projection_dim: 768,
  hidden_act: 'quick_gelu',
  eos_token_id: 2,
};

const VAE = {
  block_out_channels: [128, 256, 512, 512],
  down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D', 'DownEncoderBlock2D', 'DownEncoderBlock2D'],
  up_block_types: ['UpDecoderBlock2D', 'UpDecoderBlock2D', 'UpDecoderBlock2D', 'UpDecoderBlock2D'],
  layers_per_block: 2,
};

const BETAS = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear', num_train_timesteps: 1000 };

export interface DiffusionFacts {
  unet: Readonly<Record<string, unknown>>;
  vae: Readonly<Record<string, unknown>>;
  text_encoder: Readonly<Record<string, unknown>>;
  text_encoder_2?: Readonly<Record<string, unknown>>;
  scheduler: Readonly<Record<string, unknown>>;
}

export const SD15_FACTS: DiffusionFacts = {
  unet: { sample_size: 64, attention_head_dim: 8, cross_attention_dim: 768 },
  vae: { ...VAE, sample_size: 512, scaling_factor: 0.18215 },
  text_encoder: CLIP_L,
  scheduler: { ...BETAS, clip_sample: false, set_alpha_to_one: false, steps_offset: 1 },
};

export const SDXL_FACTS: DiffusionFacts = {
  unet: {
    sample_size: 128,
    block_out_channels: [320, 640, 1280],
    down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
    up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
    attention_head_dim: [5, 10, 20],
    transformer_layers_per_block: [1, 2, 10],
    cross_attention_dim: 2048,
    use_linear_projection: true,
    addition_embed_type: 'text_time',
    addition_time_embed_dim: 256,
    projection_class_embeddings_input_dim: 2816,
  },
  vae: { ...VAE, sample_size: 1024, scaling_factor: 0.13025 },
  text_encoder: CLIP_L,
  text_encoder_2: {
    model_type: 'clip_text_model',
    hidden_size: 1280,
    intermediate_size: 5120,
    num_hidden_layers: 32,
    num_attention_heads: 20,
    projection_dim: 1280,
    hidden_act: 'gelu',
    eos_token_id: 2,
  },
  scheduler: { ...BETAS, clip_sample: false, set_alpha_to_one: false, steps_offset: 1, timestep_spacing: 'leading' },
};
