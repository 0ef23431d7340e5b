import type { MetricsRecord, PreviewRecord, SamplePoint } from './records.ts';

/** At most this many losses make the small curve of a run. */
export const CURVE_POINTS = 64;

/** A run's curve as lists show it. */
export interface LossCurve {
  /** How many steps it stands for. */
  steps: number;
  /** The loss of every n-th of them from the first on; n is the least power of two that leaves at most CURVE_POINTS. */
  losses: number[];
}

function strideOf(steps: number): number {
  let stride = 1;
  while (Math.ceil(steps / stride) > CURVE_POINTS) stride *= 2;
  return stride;
}

/**
 * The curve after more steps. Powers of two make it the same whether the losses come one by one or all at once: what a longer
 * curve shows was always in the shorter one.
 */
export function extendCurve({ steps, losses }: LossCurve, more: readonly number[]): LossCurve {
  const before = strideOf(steps);
  const total = steps + more.length;
  const stride = strideOf(total);
  return {
    steps: total,
    losses: [
      ...losses.filter((_, i) => (i * before) % stride === 0),
      ...more.filter((_, i) => (steps + i) % stride === 0),
    ],
  };
}

/** What lists show of a run, as it is kept. */
export interface Preview {
  record: PreviewRecord;
  /** The newest picture made along the way. */
  picture: Blob | null;
}

export const emptyPreview = (runId: string): Preview => ({
  record: { runId, steps: 0, losses: [], sampleBytes: 0 },
  picture: null,
});

const sizeOf = (made: string | Blob): number => (typeof made === 'string' ? 0 : made.size);

function newestPicture(samples: readonly SamplePoint[]): Blob | undefined {
  const files = samples.map(({ tuned }) => tuned).filter((made) => typeof made !== 'string');
  return files.findLast(({ type }) => type.startsWith('image/'));
}

/** A run's preview after another piece of its history. */
export function extendPreview(
  { record, picture }: Preview,
  { steps, samples }: Pick<MetricsRecord, 'steps' | 'samples'>,
): Preview {
  const losses = steps.map(({ loss }) => loss);
  const sampleBytes = samples.reduce((sum, { base, tuned }) => sum + sizeOf(base) + sizeOf(tuned), record.sampleBytes);
  return {
    record: { runId: record.runId, ...extendCurve(record, losses), sampleBytes },
    picture: newestPicture(samples) ?? picture,
  };
}
