import { describe, expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import { ConfigReader } from '../../../src/models/files/config-reader.ts';
import { inverseFrequencies, parseRope, ropeTable } from '../../../src/models/layers/rope.ts';
import type { RopeConfig } from '../../../src/models/layers/rope.ts';

const plain: RopeConfig = { theta: 10000, scaling: { type: 'default' } };
const llama3: RopeConfig = {
  theta: 500000,
  scaling: { type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 8192 },
};

describe('rotary tables', () => {
  test('the default is theta to the power of -2i/d', () => {
    const speeds = inverseFrequencies(plain, 8);
    expect([...speeds].map((speed) => Number(speed.toPrecision(12)))).toEqual([1, 0.1, 0.01, 0.001]);
  });

  test('linear scaling stretches every position', () => {
    const scaled = inverseFrequencies({ theta: 10000, scaling: { type: 'linear', factor: 4 } }, 16);
    inverseFrequencies(plain, 16).forEach((speed, i) => expect(scaled[i]).toBeCloseTo(speed / 4, 15));
  });

  test('llama3 keeps the fast, slows the slow by the factor, and blends between, all three in one table', () => {
    const before = inverseFrequencies({ ...llama3, scaling: { type: 'default' } }, 128);
    const after = inverseFrequencies(llama3, 128);
    const seen = { fast: 0, slow: 0, between: 0 };
    before.forEach((speed, i) => {
      const wavelength = (2 * Math.PI) / speed;
      const got = after[i]!;
      if (wavelength < 8192 / 4) {
        seen.fast++;
        expect(got).toBe(speed);
      } else if (wavelength > 8192 / 1) {
        seen.slow++;
        expect(got).toBeCloseTo(speed / 8, 15);
      } else {
        seen.between++;
        // The share of the unscaled speed goes from 0 at 8192 / low to 1 at 8192 / high, linear in turns within 8192.
        const share = (8192 / wavelength - 1) / (4 - 1);
        expect(got / (speed * (share + (1 - share) / 8))).toBeCloseTo(1, 12);
        expect(got).toBeGreaterThan(speed / 8);
        expect(got).toBeLessThan(speed);
      }
      if (i > 0) expect(got).toBeLessThan(after[i - 1]!);
    });
    expect(seen.fast).toBeGreaterThan(0);
    expect(seen.slow).toBeGreaterThan(0);
    expect(seen.between).toBeGreaterThan(0);
  });

  test('tables hold cos and sin of position times speed, rounded once', () => {
    const speeds = inverseFrequencies(llama3, 16);
    const [cos, sin] = [ropeTable(llama3, 16, 9000, 'cos'), ropeTable(llama3, 16, 9000, 'sin')];
    expect(cos).toHaveLength(9000 * 8);
    for (const position of [0, 1, 77, 8999]) {
      for (let i = 0; i < 8; i++) {
        expect(cos[position * 8 + i]).toBe(Math.fround(Math.cos(position * speeds[i]!)));
        expect(sin[position * 8 + i]).toBe(Math.fround(Math.sin(position * speeds[i]!)));
      }
    }
  });
});

const parse = (json: unknown): RopeConfig => parseRope(new ConfigReader(json, "The base's config.json"));

describe('rope settings of config.json', () => {
  test('are read in the old form and in the new', () => {
    const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
    expect(parse({ rope_theta: 500000, rope_scaling: { rope_type: 'llama3', ...scaling } })).toEqual(llama3);
    expect(parse({ rope_parameters: { rope_theta: 500000, rope_type: 'llama3', ...scaling } })).toEqual(llama3);
    expect(parse({ rope_theta: 500000, rope_scaling: null })).toEqual({
      theta: 500000,
      scaling: { type: 'default' },
    });
    expect(parse({})).toEqual(plain);
    expect(parse({ rope_scaling: { type: 'linear', factor: 2 } }).scaling).toEqual({ type: 'linear', factor: 2 });
  });

  test.each([
    [{ rope_scaling: { rope_type: 'yarn', factor: 4 } }, /“yarn”.*default, linear and llama3/],
    [{ rope_scaling: { rope_type: 'linear' } }, /config.json \(rope_scaling\) says factor is null; a number above 0/],
    [{ rope_scaling: { rope_type: 'linear', factor: 0 } }, /factor/],
    [{ rope_scaling: { rope_type: 'llama3', factor: 8 } }, /low_freq_factor/],
    [
      {
        rope_scaling: {
          rope_type: 'llama3',
          factor: 8,
          low_freq_factor: 4,
          high_freq_factor: 4,
          original_max_position_embeddings: 8192,
        },
      },
      /high_freq_factor/,
    ],
    [{ rope_theta: 'much' }, /rope_theta/],
    [{ rope_theta: -1 }, /rope_theta/],
    [{ rope_scaling: 'linear' }, /rope_scaling/],
  ])('what cannot be used is named: %j', (config, message) => {
    expect(() => parse(config)).toThrow(UserError);
    expect(() => parse(config)).toThrow(message);
  });
});
