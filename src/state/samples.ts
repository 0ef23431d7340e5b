/** The samples of the newest moment at or before a step, one a prompt. */
export function samplesAt<P extends { step: number }>(samples: readonly P[], step: number): P[] {
  const newest = Math.max(...samples.map((sample) => sample.step).filter((at) => at <= step));
  return samples.filter((sample) => sample.step === newest);
}
