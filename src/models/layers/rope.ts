import { UserError } from '../../common/errors.ts';
import { isJsonObject, quoteValue } from '../../common/json.ts';
import { ConfigReader } from '../files/config-reader.ts';

/** Rotary embedding as transformers' configs state it, old (`rope_theta`, `rope_scaling`) or new (`rope_parameters`). */
export type RopeScaling =
  | { type: 'default' }
  | { type: 'linear'; factor: number }
  | {
      type: 'llama3';
      factor: number;
      lowFreqFactor: number;
      highFreqFactor: number;
      originalContext: number;
    };

export interface RopeConfig {
  theta: number;
  scaling: RopeScaling;
}

/** @param config a whole config.json. Throws UserError for what is wrong or not supported. */
export function parseRope(config: ConfigReader): RopeConfig {
  const field = config.has('rope_parameters') ? 'rope_parameters' : 'rope_scaling';
  const given = config.values[field] ?? {};
  if (!isJsonObject(given)) throw config.wrong(field, 'an object is needed');
  const settings = new ConfigReader(given, `${config.file} (${field})`);
  const theta = (settings.has('rope_theta') ? settings : config).positive('rope_theta', 10000);
  const type = settings.values['rope_type'] ?? settings.values['type'] ?? 'default';
  switch (type) {
    case 'default':
      return { theta, scaling: { type: 'default' } };
    case 'linear':
      return { theta, scaling: { type: 'linear', factor: settings.positive('factor') } };
    case 'llama3': {
      const lowFreqFactor = settings.positive('low_freq_factor');
      const highFreqFactor = settings.positive('high_freq_factor');
      if (highFreqFactor <= lowFreqFactor)
        throw settings.wrong('high_freq_factor', `a number above its low_freq_factor of ${lowFreqFactor} is needed`);
      return {
        theta,
        scaling: {
          type: 'llama3',
          factor: settings.positive('factor'),
          lowFreqFactor,
          highFreqFactor,
          originalContext: settings.positive('original_max_position_embeddings'),
        },
      };
    }
  }
  throw new UserError(
    `The base uses the rotary scaling ${quoteValue(type)}, which is not supported yet (default, linear and llama3 are).`,
  );
}

/** Angular speed of each pair, rotaryDim / 2 numbers (Su et al., arXiv:2104.09864; llama3's interpolation as transformers has it). */
export function inverseFrequencies({ theta, scaling }: RopeConfig, rotaryDim: number): Float64Array {
  const plain = Float64Array.from({ length: rotaryDim / 2 }, (_, i) => theta ** ((-2 * i) / rotaryDim));
  if (scaling.type === 'default') return plain;
  if (scaling.type === 'linear') return plain.map((speed) => speed / scaling.factor);
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
  return plain.map((speed) => {
    const wavelength = (2 * Math.PI) / speed;
    if (wavelength < originalContext / highFreqFactor) return speed;
    if (wavelength > originalContext / lowFreqFactor) return speed / factor;
    const smooth = (originalContext / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return ((1 - smooth) * speed) / factor + smooth * speed;
  });
}

/** cos and sin [positions, rotaryDim / 2], rounded once from float64: WGSL's own promise little for large arguments. */
export function ropeTable(
  config: RopeConfig,
  rotaryDim: number,
  positions: number,
  turn: 'cos' | 'sin',
): Float32Array<ArrayBuffer> {
  const speeds = inverseFrequencies(config, rotaryDim);
  const table = new Float32Array(positions * speeds.length);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < speeds.length; i++) table[position * speeds.length + i] = Math[turn](position * speeds[i]!);
  }
  return table;
}
