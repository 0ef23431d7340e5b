import type { PictureSamplePoint } from '../storage/records.ts';

/** The samples of the newest moment at or before a step, one a prompt. */
export function samplesAt(samples: readonly PictureSamplePoint[], step: number): PictureSamplePoint[] {
  const newest = Math.max(...samples.map((sample) => sample.step).filter((at) => at <= step));
  return samples.filter((sample) => sample.step === newest);
}
