import type { Task } from '../common/task.ts';
import type { PlanAnswer } from '../worker/protocol.ts';
import { formatBytes, formatDuration } from './format.ts';
import { kindWords } from './kinds.ts';

export interface Fit {
  verdict: 'fits' | 'tight' | 'too large' | 'unknown';
  line: string;
  seconds: number;
  /** Whether the time comes from runs on this device. */
  measured: boolean;
}

/** Before the first run the speed is a guess: a processor's and a mid-range card's useful share of their peak. */
const GUESS_SOFTWARE = 8e9;
const GUESS_CARD = 2e12;
/** Runs of this size find room on any card from the last ten years. */
const SMALL_RUN = 1.5e9;
/** The system and the browser keep a share of the card's memory for themselves. */
const USABLE = 0.85;
const COMFORTABLE = 0.7;

/** Whether a run fits and how long it takes. `gpuMemory` in gigabytes as the person told, 0 where unknown. */
export function judge(answer: PlanAnswer, gpuMemory: number, task: Task = 'voice'): Fit {
  const { plan, measuredFlops, isSoftware } = answer;
  const need = formatBytes(plan.totalBytes);
  const speed = measuredFlops ?? (isSoftware ? GUESS_SOFTWARE : GUESS_CARD);
  const seconds = (plan.flopsPerStep * plan.totalSteps) / speed;
  const time = { seconds, measured: measuredFlops !== null };
  const memory = gpuMemory * 1e9;
  if (memory > 0) {
    if (plan.totalBytes <= memory * COMFORTABLE)
      return { ...time, verdict: 'fits', line: `Fits: ${need} of ${gpuMemory} GB.` };
    if (plan.totalBytes <= memory * USABLE) {
      return {
        ...time,
        verdict: 'tight',
        line: `Tight: ${need} of ${gpuMemory} GB. Close games and other programs that use the card.`,
      };
    }
    return {
      ...time,
      verdict: 'too large',
      line: `Does not fit: ${need}, and the card has ${gpuMemory} GB. Choose a smaller base, or ${kindWords(task).smaller} under Train.`,
    };
  }
  if (isSoftware || plan.totalBytes <= SMALL_RUN)
    return { ...time, verdict: 'fits', line: `Fits: takes ${need} of memory.` };
  return {
    ...time,
    verdict: 'unknown',
    line: `Takes ${need} of graphics memory. Browsers do not say how much there is: tell it under Settings to be sure.`,
  };
}

export function timeLine(fit: Fit): string {
  const about = `about ${formatDuration(fit.seconds)}`;
  return fit.measured
    ? `${about}, by earlier runs on this card`
    : `${about}, a rough guess until the first run has been timed`;
}
