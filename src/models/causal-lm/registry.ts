import { UserError } from '../../common/errors.ts';
import { quoteValue } from '../../common/json.ts';
import { ConfigReader } from '../files/config-reader.ts';
import type { CausalLm } from './causal-lm.ts';
import { llama } from './llama.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';

/** Makes a language model of its config.json. Throws UserError for what is missing, wrong or not supported. */
export type CausalLmParser = (reader: ConfigReader) => CausalLm;

/** Language models by transformers' model_type. Adding one is a file beside this and a line here. */
export const CAUSAL_LMS: Readonly<Record<string, CausalLmParser>> = { llama, qwen2, qwen3 };

/** @param json the content of config.json */
export function parseCausalLm(json: unknown, known = CAUSAL_LMS): CausalLm {
  const reader = new ConfigReader(json, "The base's config.json");
  const type = reader.values['model_type'];
  const parse = typeof type === 'string' && Object.hasOwn(known, type) ? known[type] : undefined;
  if (!parse) {
    throw new UserError(
      `The base is of the kind ${quoteValue(type ?? null)}, which is not supported. Supported are ${Object.keys(known).join(', ')}.`,
    );
  }
  return parse(reader);
}
