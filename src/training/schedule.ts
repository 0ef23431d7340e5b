export type SchedulerType = 'constant' | 'constant_with_warmup' | 'linear' | 'cosine';

export interface ScheduleOptions {
  lr_scheduler_type: SchedulerType;
  learning_rate: number;
  /** Whole optimiser steps of warm-up. */
  warmup_steps: number;
  /** Optimiser steps of the whole run. */
  totalSteps: number;
}

/**
 * The rate that optimiser step `step` (from 0) uses, as transformers' get_scheduler gives it to the Trainer: the first
 * step of a warm-up runs at 0, the step after the last would run at 0 again (linear, cosine).
 */
export function learningRate(step: number, options: ScheduleOptions): number {
  const { lr_scheduler_type: type, learning_rate: peak, warmup_steps: warmup, totalSteps } = options;
  if (type === 'constant') return peak;
  if (step < warmup) return peak * (step / Math.max(1, warmup));
  if (type === 'constant_with_warmup') return peak;
  const decaying = Math.max(1, totalSteps - warmup);
  if (type === 'linear') return peak * Math.max(0, (totalSteps - step) / decaying);
  // transformers lets the cosine go on past its end; here, too, so that a run made longer behaves the same.
  const progress = (step - warmup) / decaying;
  return peak * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * 0.5 * 2 * progress)));
}
