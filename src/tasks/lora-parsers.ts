import type { LoraConfig } from '../adapters/lora-config.ts';
import { parseLoraConfig } from '../adapters/lora-config.ts';
import type { Task } from '../common/task.ts';
import { parseLookLora } from './look/adapter.ts';
import { parseSoundLora } from './sound/adapter.ts';

/** An adapter's configuration with the defaults of its kind; light, for the page reads it too. Throws UserError. */
export const PARSE_LORA: Readonly<Record<Task, (fields: object, where?: string) => LoraConfig>> = {
  voice: parseLoraConfig,
  look: parseLookLora,
  sound: parseSoundLora,
};
