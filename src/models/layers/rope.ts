import { UserError } from '../../common/errors.ts';

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

const positive = (record: Record<string, unknown>, name: string, fallback?: number): number => {
  const value = record[name] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw new UserError(`The base's config.json has no usable ${name} in its rope settings.`);
  }
  return value;
};

export function parseRope(config: Record<string, unknown>): RopeConfig {
  const given = config['rope_parameters'] ?? config['rope_scaling'] ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) {
    throw new UserError(`The base's config.json says rope_scaling is ${JSON.stringify(given)}; an object is needed.`);
  }
  const settings = given as Record<string, unknown>;
  const theta = positive('rope_theta' in settings ? settings : config, 'rope_theta', 10000);
  const type = String(settings['rope_type'] ?? settings['type'] ?? 'default');
  if (type === 'default') return { theta, scaling: { type } };
  if (type === 'linear') return { theta, scaling: { type, factor: positive(settings, 'factor') } };
  if (type === 'llama3') {
    const lowFreqFactor = positive(settings, 'low_freq_factor');
    const highFreqFactor = positive(settings, 'high_freq_factor');
    if (highFreqFactor <= lowFreqFactor) {
      throw new UserError(
        `The base's config.json has a high_freq_factor of ${highFreqFactor}, which must be above its low_freq_factor of ${lowFreqFactor}.`,
      );
    }
    return {
      theta,
      scaling: {
        type,
        factor: positive(settings, 'factor'),
        lowFreqFactor,
        highFreqFactor,
        originalContext: positive(settings, 'original_max_position_embeddings'),
      },
    };
  }
  throw new UserError(
    `The base uses the rotary scaling “${type}”, which is not supported yet (default, linear and llama3 are).`,
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
