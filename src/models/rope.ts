import { UserError } from '../engine/errors.ts';

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

const number = (record: Record<string, unknown>, name: string): number => {
  const value = record[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new UserError(`The base's config.json has no usable ${name} in its rope settings.`);
  }
  return value;
};

export function parseRope(config: Record<string, unknown>): RopeConfig {
  const settings = (config['rope_parameters'] ?? config['rope_scaling'] ?? {}) as Record<string, unknown>;
  const theta = (settings['rope_theta'] ?? config['rope_theta'] ?? 10000) as number;
  const type = (settings['rope_type'] ?? settings['type'] ?? 'default') as string;
  if (type === 'default') return { theta, scaling: { type } };
  if (type === 'linear') return { theta, scaling: { type, factor: number(settings, 'factor') } };
  if (type === 'llama3') {
    return {
      theta,
      scaling: {
        type,
        factor: number(settings, 'factor'),
        lowFreqFactor: number(settings, 'low_freq_factor'),
        highFreqFactor: number(settings, 'high_freq_factor'),
        originalContext: number(settings, 'original_max_position_embeddings'),
      },
    };
  }
  throw new UserError(`The base uses the rotary scaling “${type}”, which is not supported yet (default, linear and llama3 are).`);
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
export function ropeTable(config: RopeConfig, rotaryDim: number, positions: number, turn: 'cos' | 'sin'): Float32Array<ArrayBuffer> {
  const speeds = inverseFrequencies(config, rotaryDim);
  const table = new Float32Array(positions * speeds.length);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < speeds.length; i++) table[position * speeds.length + i] = Math[turn](position * speeds[i]!);
  }
  return table;
}
