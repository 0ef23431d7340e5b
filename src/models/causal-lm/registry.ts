import { UserError } from '../../common/errors.ts';
import type { DecoderConfig } from './decoder-config.ts';
import { ConfigReader } from './decoder-config.ts';
import { llamaConfig } from './llama.ts';
import { qwen2Config } from './qwen2.ts';
import { qwen3Config } from './qwen3.ts';

/** Language models by transformers' model_type. Adding one is a file beside this and a line here. */
const DECODERS: Readonly<Record<string, (reader: ConfigReader) => DecoderConfig>> = {
  llama: llamaConfig,
  qwen2: qwen2Config,
  qwen3: qwen3Config,
};

/** @param json the content of config.json */
export function parseDecoderConfig(json: unknown): DecoderConfig {
  const reader = new ConfigReader(json);
  const type = reader.values['model_type'];
  const parse = typeof type === 'string' && Object.hasOwn(DECODERS, type) ? DECODERS[type] : undefined;
  if (!parse) {
    throw new UserError(
      `The base is of the kind “${String(type)}”, which is not supported. Supported are ${Object.keys(DECODERS).join(', ')}.`,
    );
  }
  return parse(reader);
}
