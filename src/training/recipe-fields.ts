import type { Recipe } from './recipe.ts';

import type { Task } from '../common/task.ts';

interface FieldBase<T> {
  /**
   * Name in the file: transformers' TrainingArguments, TRL's SFTConfig, or diffusers' and kohya's training scripts where
   * they have the setting.
   */
  name: Exclude<keyof Recipe, 'task'>;
  default: T;
  /** Tasks that have the setting; all where it is left out. */
  tasks?: readonly Task[];
  /** Where a task's default is another. */
  defaults?: Partial<Record<Task, T>>;
  /** Help that differs from task to task. */
  helps?: Partial<Record<Task, string>>;
  /** Plain words. */
  label: string;
  /** What experts call it. */
  term: string;
  /** What it does, and why one would change it. */
  help: string;
  group: 'basic' | 'more';
}

export interface NumberField extends FieldBase<number> {
  type: 'integer' | 'number';
  min: number;
  max: number;
  /** Step of a form's field. */
  step: number;
}

export interface BooleanField extends FieldBase<boolean> {
  type: 'boolean';
}

export interface ChoiceField extends FieldBase<string> {
  type: 'choice';
  choices: readonly { value: string; label: string }[];
}

export interface TextField extends FieldBase<string> {
  type: 'text';
}

export type RecipeField = NumberField | BooleanField | ChoiceField | TextField;

/** Settings of every task. Defaults suit a voice of 100 to 1000 exchanges. */
export const COMMON_FIELDS: readonly RecipeField[] = [
  {
    name: 'num_train_epochs',
    type: 'number',
    default: 3,
    defaults: { look: 100, sound: 20 },
    helps: {
      look: 'How often every picture is seen. Likenesses usually need 60 to 150 times; stop where the samples stop getting closer, for later ones get stiff.',
      sound:
        'How often every clip is heard. 5 minutes of music need 20 to 40 times, an hour 3 to 6; stop where the samples stop getting closer, for later ones repeat the clips.',
    },
    min: 0.01,
    max: 10_000,
    step: 0.5,
    label: 'Times through the data',
    term: 'Epochs',
    group: 'basic',
    help: 'How often every example is seen. Two or three are usual; more help small sets, until the model repeats them word for word.',
  },
  {
    name: 'max_steps',
    type: 'integer',
    default: -1,
    min: -1,
    max: 10_000_000,
    step: 1,
    label: 'Fixed number of steps',
    term: 'Maximum steps',
    group: 'more',
    help: 'Ends the run after so many updates, whatever the number of epochs. -1: go by the times through the data.',
  },
  {
    name: 'learning_rate',
    type: 'number',
    default: 2e-4,
    defaults: { look: 1e-4 },
    helps: {
      look: 'How far each update goes. 1e-4 is usual for photos; lower it where the samples turn harsh or noisy, raise it where nothing changes.',
      sound:
        'How far each update goes. 2e-4 is usual for music; lower it where the samples fall into noise or one held note, raise it where nothing changes.',
    },
    min: 0,
    max: 1,
    step: 1e-5,
    label: 'Learning speed',
    term: 'Learning rate',
    group: 'basic',
    help: 'How far each update goes. Lower it where the loss jumps or the answers fall apart; raise it where nothing changes.',
  },
  {
    name: 'per_device_train_batch_size',
    type: 'integer',
    default: 2,
    defaults: { look: 1, sound: 1 },
    min: 1,
    max: 1024,
    step: 1,
    label: 'Examples at once',
    term: 'Batch size',
    group: 'basic',
    help: 'Examples that go through the model together. More use the GPU better and take more memory.',
  },
  {
    name: 'gradient_accumulation_steps',
    type: 'integer',
    default: 4,
    defaults: { look: 1 },
    min: 1,
    max: 1024,
    step: 1,
    label: 'Batches per update',
    term: 'Gradient accumulation',
    group: 'basic',
    help: 'Batches whose gradients are added up before an update: steadier learning as from a larger batch, without its memory.',
  },
  {
    name: 'max_length',
    type: 'integer',
    default: 1024,
    tasks: ['voice'],
    min: 8,
    max: 131_072,
    step: 64,
    label: 'Longest example',
    term: 'Sequence length in tokens',
    group: 'basic',
    help: 'Examples are cut after so many tokens (a token is about three quarters of a word). Memory grows with it.',
  },
  {
    name: 'lr_scheduler_type',
    type: 'choice',
    default: 'linear',
    defaults: { look: 'cosine', sound: 'cosine' },
    choices: [
      { value: 'linear', label: 'Falling evenly' },
      { value: 'cosine', label: 'Falling along a cosine' },
      { value: 'constant_with_warmup', label: 'Constant after a warm-up' },
      { value: 'constant', label: 'Constant' },
    ],
    label: 'Course of the learning speed',
    term: 'Learning rate schedule',
    group: 'more',
    help: 'Falling towards the end lets the model settle; constant suits runs whose length is not known beforehand.',
  },
  {
    name: 'warmup_ratio',
    type: 'number',
    default: 0.05,
    min: 0,
    max: 1,
    step: 0.01,
    label: 'Warm-up',
    term: 'Warm-up share',
    group: 'more',
    help: 'Share of the run in which the learning speed rises from zero, so that the first updates do no harm. Not used where warm-up steps are given, or with a constant speed.',
  },
  {
    name: 'warmup_steps',
    type: 'number',
    default: 0,
    min: 0,
    max: 10_000_000,
    step: 1,
    label: 'Warm-up in steps',
    term: 'Warm-up steps',
    group: 'more',
    help: 'The same as a number of steps (below 1: a share of the run). 0: go by the warm-up share.',
  },
  {
    name: 'packing',
    type: 'boolean',
    default: true,
    tasks: ['voice'],
    label: 'Fill up short examples',
    term: 'Packing',
    group: 'more',
    help: 'Several short examples share one sequence without seeing each other. Much faster where lengths differ; the result is the same.',
  },
  {
    name: 'shuffle',
    type: 'boolean',
    default: true,
    label: 'Mix the examples',
    term: 'Shuffling',
    group: 'more',
    help: 'A new order in every round, the same for the same seed. Turn it off only to repeat a run row by row.',
  },
  {
    name: 'weight_decay',
    type: 'number',
    default: 0.01,
    min: 0,
    max: 10,
    step: 0.01,
    label: 'Pull towards zero',
    term: 'Weight decay',
    group: 'more',
    help: 'Shrinks the adapter a little with every update. More can help against learning by heart.',
  },
  {
    name: 'max_grad_norm',
    type: 'number',
    default: 1,
    min: 0,
    max: 1e6,
    step: 0.1,
    label: 'Largest update',
    term: 'Gradient clipping',
    group: 'more',
    help: 'Longer gradients are shortened to this norm, so that a single odd example cannot spoil the run. 0: never shortened.',
  },
  {
    name: 'adam_beta1',
    type: 'number',
    default: 0.9,
    min: 0,
    max: 0.999999,
    step: 0.01,
    label: 'Memory for direction',
    term: 'Adam β₁',
    group: 'more',
    help: 'How long AdamW remembers the direction of earlier updates. Rarely worth changing.',
  },
  {
    name: 'adam_beta2',
    type: 'number',
    default: 0.999,
    defaults: { sound: 0.99 },
    min: 0,
    max: 0.999999,
    step: 0.001,
    label: 'Memory for size',
    term: 'Adam β₂',
    group: 'more',
    help: 'How long AdamW remembers the size of earlier gradients. 0.99 adapts faster in short runs.',
  },
  {
    name: 'adam_epsilon',
    type: 'number',
    default: 1e-8,
    min: 1e-16,
    max: 1,
    step: 1e-8,
    label: 'Smallest divisor',
    term: 'Adam ε',
    group: 'more',
    help: 'Keeps AdamW from dividing by zero. Rarely worth changing.',
  },
  {
    name: 'eval_share',
    type: 'number',
    default: 0.1,
    defaults: { look: 0 },
    helps: {
      look: 'Share of the pictures that is kept aside and only measured. With so few pictures each is worth more in the training, and the samples tell more than this number does.',
    },
    min: 0,
    max: 0.5,
    step: 0.01,
    label: 'Kept aside for checking',
    term: 'Held-out share',
    group: 'basic',
    help: 'Share of the examples that are not trained on. Their loss shows whether the model learns or only learns by heart. 0: none.',
  },
  {
    name: 'eval_steps',
    type: 'integer',
    default: 20,
    defaults: { look: 100 },
    min: 0,
    max: 10_000_000,
    step: 1,
    label: 'Check every … steps',
    term: 'Evaluation interval',
    group: 'more',
    help: 'How often the loss on the held-out examples is measured. 0: only at the end.',
  },
  {
    name: 'early_stopping_patience',
    type: 'integer',
    default: 3,
    defaults: { look: 0, sound: 0 },
    min: 0,
    max: 1000,
    step: 1,
    label: 'Stop when it gets worse',
    term: 'Early stopping patience',
    group: 'more',
    help: 'Ends the run after so many checks in a row without a better held-out loss. 0: never.',
  },
  {
    name: 'load_best_model_at_end',
    type: 'boolean',
    default: true,
    defaults: { look: false },
    label: 'Keep the best',
    term: 'Load best at end',
    group: 'more',
    help: 'The result is the adapter with the lowest held-out loss, not the last one. Needs held-out examples.',
  },
  {
    name: 'save_steps',
    type: 'integer',
    default: 50,
    defaults: { look: 250 },
    min: 0,
    max: 10_000_000,
    step: 1,
    label: 'Save every … steps',
    term: 'Checkpoint interval',
    group: 'more',
    help: 'How often the run is saved so that it can go on after the page was closed. 0: only when it is paused or ends.',
  },
  {
    name: 'sample_steps',
    type: 'integer',
    default: 25,
    defaults: { look: 250 },
    helps: {
      look: 'How often base and tuned model draw the same prompts, to see the change. 0: never.',
      sound: 'How often base and tuned model play the same prompts, to hear the change. 0: never.',
    },
    min: 0,
    max: 10_000_000,
    step: 1,
    label: 'Sample every … steps',
    term: 'Sample interval',
    group: 'more',
    help: 'How often base and tuned model answer the same prompt, to hear the change. 0: never.',
  },
  {
    name: 'seed',
    type: 'integer',
    default: 0,
    min: 0,
    max: 4_294_967_295,
    step: 1,
    label: 'Seed',
    term: 'Random seed',
    group: 'more',
    help: 'Decides the start values and the order of the examples. The same seed repeats a run, another gives a variation.',
  },
];
