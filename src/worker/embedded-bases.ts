import type { Task } from '../common/task.ts';

/** A base that comes with the page; every other id names a record in the database. */
export interface EmbeddedBase {
  id: string;
  /** As the page calls it. */
  name: string;
  /** As files made with it call it. */
  fileName: string;
  /** Where it lies beside the page, and what it is made of. */
  path: string;
  files: readonly string[];
}

export const EMBEDDED: Readonly<Record<Task, EmbeddedBase>> = {
  voice: {
    id: 'embedded:voice',
    name: 'the small voice of this page',
    fileName: 'athanor-small-voice',
    path: 'embedded/voice/',
    files: ['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'],
  },
  look: {
    id: 'embedded:look',
    name: 'the small look of this page',
    fileName: 'athanor-small-look',
    path: 'embedded/look/',
    files: [
      'model_index.json',
      'scheduler/scheduler_config.json',
      'text_encoder/config.json',
      'text_encoder/model.safetensors',
      'tokenizer/merges.txt',
      'tokenizer/special_tokens_map.json',
      'tokenizer/tokenizer_config.json',
      'tokenizer/vocab.json',
      'unet/config.json',
      'unet/diffusion_pytorch_model.safetensors',
      'vae/config.json',
      'vae/diffusion_pytorch_model.safetensors',
    ],
  },
  sound: {
    id: 'embedded:sound',
    name: 'the small sound of this page',
    fileName: 'athanor-small-sound',
    path: 'embedded/sound/',
    files: [
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'preprocessor_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ],
  },
};

/** The base of that id with its kind, where it is one of the page's own. */
export function embeddedBase(id: string | null): (EmbeddedBase & { task: Task }) | undefined {
  const found = (Object.entries(EMBEDDED) as [Task, EmbeddedBase][]).find(([, base]) => base.id === id);
  return found && { ...found[1], task: found[0] };
}
