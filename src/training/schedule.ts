export type SchedulerType = 'constant' | 'constant_with_warmup' | 'linear' | 'cosine';
export interface ScheduleOptions {
  lr_scheduler_type: SchedulerType;
  learning_rate: number;
  warmup_steps: number;
  /** Optimiser steps of the whole run. */
  totalSteps: number;
}
/** The rate that optimiser step `step` (from 0) uses. */
export declare function learningRate(step: number, options: ScheduleOptions): number;
