import type { Component } from 'svelte';
import type { LoraConfig } from '../adapters/lora-config.ts';
import type { ProjectRecord, SamplePoint } from '../storage/records.ts';
import type { PickedFiles } from '../state/pick-folder.ts';
import type { Step } from '../state/router.svelte.ts';

/** Steps of which each kind has its own; the others are the same for all. */
export type OwnStep = Exclude<Step, 'base' | 'train'>;

/** What the pages of a project ask of its kind. */
export interface AppKind {
  steps: Readonly<Record<OwnStep, Component<{ project: ProjectRecord }>>>;
  /** What was made along the way of a run, base beside tuned. */
  Samples: Component<{ samples: readonly SamplePoint[] }>;
  /** Reads the data set of a project, for the step that shows it. */
  openDataset: (projectId: string) => Promise<void>;
  /** What the loaded base says of itself, where it is this one: terms and what holds for them. */
  facts: (baseId: string) => readonly (readonly [string, string])[];
  base: {
    /** Bases may come as single files beside folders. */
    singleFiles: boolean;
    /** Which bases are understood, and as which files. */
    Help: Component;
    /** The files of a base among those picked; UserError where they are none. */
    filesOf: (picked: PickedFiles) => PickedFiles;
  };
  /** What of the adapter can be set. */
  adapter: {
    /** Fields that are not offered. */
    without: readonly (keyof LoraConfig)[];
    /** What stands for all modules, where they have such a name. */
    allModules: string | null;
    /** What the modules are called before their names are known, and what choosing among them does. */
    modules: string;
    choosing: string;
  };
}
