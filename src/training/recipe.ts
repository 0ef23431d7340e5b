import type { SchedulerType } from './schedule.ts';
/** A run's settings, under transformers' TrainingArguments and TRL's names. */
export interface Recipe {
  max_steps: number;
  num_train_epochs: number;
  per_device_train_batch_size: number;
  gradient_accumulation_steps: number;
  learning_rate: number;
  lr_scheduler_type: SchedulerType;
  warmup_steps: number;
  warmup_ratio: number;
  weight_decay: number;
  adam_beta1: number;
  adam_beta2: number;
  adam_epsilon: number;
  max_grad_norm: number;
  max_length: number;
  packing: boolean;
  shuffle: boolean;
  seed: number;
  /** Share of the rows kept out of training. */
  eval_share: number;
  /** 0: no evaluation. */
  eval_steps: number;
  early_stopping_patience: number;
  save_steps: number;
  sample_steps: number;
}
interface FieldBase<T> {
  name: keyof Recipe;
  default: T;
  /** Plain words. */
  label: string;
  /** What experts call it. */
  term: string;
  help: string;
  group: 'basic' | 'more';
}
export interface NumberField extends FieldBase<number> {
  type: 'integer' | 'number';
  min: number;
  max: number;
  step: number;
}
export interface BooleanField extends FieldBase<boolean> {
  type: 'boolean';
}
export interface ChoiceField extends FieldBase<string> {
  type: 'choice';
  choices: readonly { value: string; label: string }[];
}
export type RecipeField = NumberField | BooleanField | ChoiceField;
export declare const RECIPE_FIELDS: readonly RecipeField[];
export declare const DEFAULT_RECIPE: Readonly<Recipe>;
/** Missing fields take their defaults; UserError names an unknown field, a wrong type or a value out of range. */
export declare function parseRecipe(value: unknown): Recipe;
/** Fields in the table's order; parseRecipe(JSON) gives the same recipe. */
export declare function recipeToJSON(recipe: Recipe): Record<string, unknown>;
/** Optimiser steps of the run: max_steps, or from num_train_epochs where max_steps is -1. */
export declare function totalSteps(recipe: Recipe, batchesPerEpoch: number): number;
/** Warm-up steps: warmup_steps where above 0, else ceil(totalSteps * warmup_ratio). */
export declare function warmupSteps(recipe: Recipe, totalSteps: number): number;
