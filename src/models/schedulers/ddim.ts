import type { Sampler, SamplerContext } from './sampler.ts';
import { TIMESTEP_SPACINGS, spacedTimesteps } from './timesteps.ts';

/** Denoising diffusion implicit models without noise of their own, η = 0 (Song et al., arXiv:2010.02502, formula 12). */
export function ddimSampler({ config, schedule, steps }: SamplerContext): Sampler {
  config.expect({ thresholding: false });
  const { alphasCumprod, predictionType, timesteps: total } = schedule;
  const spacing = config.choice('timestep_spacing', TIMESTEP_SPACINGS, 'leading');
  const timesteps = spacedTimesteps(config, { spacing, steps, total, whole: true });
  const clip = config.flag('clip_sample', true) ? config.number('clip_sample_range', 1) : Infinity;
  const last = config.flag('set_alpha_to_one', true) ? 1 : alphasCumprod[0]!;
  const stride = Math.floor(total / steps);
  return {
    timesteps,
    initNoiseSigma: 1,
    needsNoise: false,
    scaleModelInput: (sample) => Float32Array.from(sample),
    step(output, i, sample) {
      const timestep = timesteps[i]!;
      const alpha = alphasCumprod[timestep]!;
      const before = timestep - stride;
      const alphaBefore = before >= 0 ? alphasCumprod[before]! : last;
      const [signal, noise] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
      const [signalBefore, noiseBefore] = [Math.sqrt(alphaBefore), Math.sqrt(1 - alphaBefore)];
      return sample.map((x, at) => {
        const said = output[at]!;
        const epsilon = predictionType === 'epsilon' ? said : signal * said + noise * x;
        const clear = predictionType === 'epsilon' ? (x - noise * said) / signal : signal * x - noise * said;
        return signalBefore * Math.min(Math.max(clear, -clip), clip) + noiseBefore * epsilon;
      });
    },
  };
}
