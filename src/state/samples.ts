import type { SamplePoint } from '../storage/records.ts';

/** The samples of the newest moment at or before a step, one a prompt. */
export function samplesAt<P extends { step: number }>(samples: readonly P[], step: number): P[] {
  const newest = Math.max(...samples.map((sample) => sample.step).filter((at) => at <= step));
  return samples.filter((sample) => sample.step === newest);
}

const isOf = (sample: SamplePoint, type: 'text' | 'file'): boolean =>
  (typeof sample.base === 'string') === (type === 'text') && typeof sample.base === typeof sample.tuned;

/** Those samples that are texts. */
export const textSamples = (samples: readonly SamplePoint[]): SamplePoint<string>[] =>
  samples.filter((sample): sample is SamplePoint<string> => isOf(sample, 'text'));

/** Those samples that are files. */
export const fileSamples = (samples: readonly SamplePoint[]): SamplePoint<Blob>[] =>
  samples.filter((sample): sample is SamplePoint<Blob> => isOf(sample, 'file'));
