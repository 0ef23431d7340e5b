import type { AlignedData } from 'uplot';
import type { EvaluationPoint, StepPoint } from '../../storage/records.ts';
import { formatLoss } from '../../state/format.ts';

/** A canvas of usual width shows no more; longer runs are thinned, each piece by its mean. */
const MOST_POINTS = 1500;
const TABLE_ROWS = 12;

/** Exponential mean, corrected for its start, with a window that grows with the run. */
export function smooth(values: readonly number[], window = Math.max(2, values.length / 25)): number[] {
  const keep = 1 - 1 / window;
  let mean = 0;
  let weight = 0;
  return values.map((value) => {
    mean = keep * mean + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    return mean / weight;
  });
}

function thin(steps: readonly StepPoint[]): { step: number; loss: number }[] {
  const every = Math.ceil(steps.length / MOST_POINTS);
  if (every <= 1) return [...steps];
  const result: { step: number; loss: number }[] = [];
  for (let start = 0; start < steps.length; start += every) {
    const piece = steps.slice(start, start + every);
    result.push({
      step: piece.at(-1)!.step,
      loss: piece.reduce((sum, point) => sum + point.loss, 0) / piece.length,
    });
  }
  return result;
}

/** Columns for uPlot: step, loss, smoothed loss, held-out loss. The step axis reaches to the planned end. */
export function chartRows(
  steps: readonly StepPoint[],
  evaluations: readonly EvaluationPoint[],
  totalSteps: number,
): AlignedData {
  const points = thin(steps);
  const smoothed = smooth(points.map((point) => point.loss));
  const rows = new Map<number, [number | null, number | null, number | null]>();
  points.forEach((point, i) => rows.set(point.step, [point.loss, smoothed[i]!, null]));
  for (const { step, loss } of evaluations) {
    const row = rows.get(step) ?? [null, null, null];
    row[2] = loss;
    rows.set(step, row);
  }
  if (totalSteps > 0 && !rows.has(totalSteps)) rows.set(totalSteps, [null, null, null]);
  const order = [...rows.keys()].sort((a, b) => a - b);
  const column = (i: 0 | 1 | 2): (number | null)[] => order.map((step) => rows.get(step)![i]);
  return [order, column(0), column(1), column(2)];
}

/** The curve in a sentence. */
export function chartSummary(steps: readonly StepPoint[], evaluations: readonly EvaluationPoint[]): string {
  const last = steps.at(-1);
  if (!last) return 'No step yet.';
  const smoothed = smooth(steps.map((point) => point.loss));
  const parts = [
    `Training loss went from ${formatLoss(steps[0]!.loss)} to ${formatLoss(smoothed.at(-1))} in ${last.step} steps.`,
  ];
  const held = evaluations.at(-1);
  if (held) {
    const best = evaluations.reduce((low, point) => (point.loss < low.loss ? point : low));
    parts.push(
      best.step === held.step
        ? `On the held-out examples it is ${formatLoss(held.loss)}, the lowest so far.`
        : `On the held-out examples it is ${formatLoss(held.loss)}; the lowest was ${formatLoss(best.loss)} at step ${best.step}.`,
    );
  }
  return parts.join(' ');
}

/** About a dozen rows that tell the curve. */
export function chartTable(
  steps: readonly StepPoint[],
  evaluations: readonly EvaluationPoint[],
): { step: number; loss: number | null; heldOut: number | null }[] {
  const smoothed = smooth(steps.map((point) => point.loss));
  const every = Math.max(1, Math.floor((steps.length - 1) / (TABLE_ROWS - 1)));
  const rows = new Map<number, { step: number; loss: number | null; heldOut: number | null }>();
  steps.forEach((point, i) => {
    if (i % every === 0 || i === steps.length - 1)
      rows.set(point.step, { step: point.step, loss: smoothed[i]!, heldOut: null });
  });
  for (const { step, loss } of evaluations) {
    const row = rows.get(step) ?? { step, loss: null, heldOut: null };
    rows.set(step, { ...row, heldOut: loss });
  }
  return [...rows.values()].sort((a, b) => a.step - b.step);
}
