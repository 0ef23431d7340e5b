import type { InputData } from '../../engine/program.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { LatentDistribution } from '../diffusion/denoiser.ts';
import type { PictureAutoencoder, Size } from '../diffusion/picture-model.ts';
import type { ModelBuilder } from '../layers/builder.ts';
import type { Pictures } from '../layers/resnet.ts';
import type { VaeConfig } from './autoencoder-kl.ts';
import {
  latentFactor,
  latentSize,
  vaeDecoder,
  vaeDecoderInputs,
  vaeEncoder,
  vaeEncoderInputs,
} from './autoencoder-kl.ts';

/** Stable Diffusion's autoencoder: a sample is its latents, shifted and scaled. */
export class KlPictureAutoencoder implements PictureAutoencoder {
  readonly config: VaeConfig;
  readonly component = 'vae';

  constructor(config: VaeConfig) {
    this.config = config;
  }

  get factor(): number {
    return latentFactor(this.config);
  }

  get sampleFactor(): number {
    return this.factor;
  }

  get latentChannels(): number {
    return this.config.latentChannels;
  }

  get outChannels(): number {
    return this.config.outChannels;
  }

  get widestChannels(): number {
    const { channels } = this.config;
    return channels[1] ?? channels[0]!;
  }

  latentSize(pixels: Size): Size {
    return latentSize(this.config, pixels);
  }

  sampleShape(pixels: Size): readonly number[] {
    const { height, width } = this.latentSize(pixels);
    return [this.latentChannels, height, width];
  }

  pictureSize([, height, width]: readonly number[]): Size {
    return { height: height! * this.factor, width: width! * this.factor };
  }

  encoder(b: ModelBuilder, pixels: Pictures): Tensor {
    return vaeEncoder(b, this.config, this.component, pixels);
  }

  encoderInputs(shape: Pictures, pixels: ArrayLike<number>): Record<string, InputData> {
    return vaeEncoderInputs(this.config, shape, pixels);
  }

  decoder(b: ModelBuilder, latents: Pictures): Tensor {
    return vaeDecoder(b, this.config, this.component, latents);
  }

  decoderInputs(shape: Pictures, latents: ArrayLike<number>): Record<string, InputData> {
    return vaeDecoderInputs(this.config, shape, latents);
  }

  toSample({ mean, logvar }: { mean: Float32Array; logvar: Float32Array }): Required<LatentDistribution> {
    const { scalingFactor, shiftFactor } = this.config;
    return {
      mean: mean.map((value) => (value - shiftFactor) * scalingFactor),
      // diffusers clamps the logarithm to -30..20.
      deviation: logvar.map((value) => Math.exp(Math.min(20, Math.max(-30, value)) / 2) * scalingFactor),
    };
  }

  fromSample(sample: Float32Array): Float32Array {
    const { scalingFactor, shiftFactor } = this.config;
    return sample.map((value) => value / scalingFactor + shiftFactor);
  }
}
