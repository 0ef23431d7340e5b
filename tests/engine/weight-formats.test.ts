import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/engine/graph.ts';
import { byteSize } from '../../src/engine/tensor.ts';
import {
  WEIGHT_FORMATS,
  codeBytes,
  isWhole,
  scaleBytes,
  scalesShape,
  weightBytes,
  weightDefines,
} from '../../src/engine/weight-formats.ts';
import type { WeightFormat, WeightType } from '../../src/engine/weight-formats.ts';
import { WeightStore } from '../../src/engine/weights.ts';
import { byteFormat, decodeBytes, withByteFormat } from '../support/weight-formats.ts';

describe('formats without groups', () => {
  test.each([
    ['f32', 4],
    ['bf16', 2],
    ['f16', 2],
  ] as const)('%s takes %d bytes a weight and no binding more', (type, bytes) => {
    expect(codeBytes(type, 7)).toBe(7 * bytes);
    expect([scaleBytes(type, 7), scalesShape(type, 7), weightBytes(type, 7)]).toEqual([0, undefined, 7 * bytes]);
    expect(isWhole(type, 7)).toBe(true);
    expect(weightDefines(type, 4)).toEqual({ WEIGHT: type, VECTOR: 4, GROUP: 0, OFFSETS: false });
    const encoded = WEIGHT_FORMATS[type].encode(Float32Array.of(1, -2, 0.5));
    expect(encoded).toHaveLength(3 * bytes);
    const graph = new Graph();
    expect(graph.weight('w', { dtype: type, sources: [{ name: 'w', shape: [3, 7] }] })).not.toHaveProperty('scales');
  });
});

/** Half a byte a weight. */
const halfBytes: WeightFormat = { ...byteFormat(32, false), block: 2, blockBytes: 1 };
const limits = { limits: { maxBufferSize: 2 ** 30 } } as never;

describe('formats with groups', () => {
  test('bytes are those of whole blocks, and of a number or two for each group that has begun', async () => {
    await withByteFormat(halfBytes, (type) => {
      expect([codeBytes(type, 64), codeBytes(type, 65), scaleBytes(type, 64), scaleBytes(type, 65)]).toEqual([
        32, 33, 8, 12,
      ]);
      expect([isWhole(type, 64), isWhole(type, 66), isWhole(type, 32)]).toEqual([true, false, true]);
      expect(weightDefines(type, 1)).toEqual({ WEIGHT: type, VECTOR: 1, GROUP: 32, OFFSETS: false });
    });
    await withByteFormat(byteFormat(16, true), (type) => {
      expect(scalesShape(type, 40)).toEqual([3, 2]);
      expect(weightBytes(type, 40)).toBe(40 + 24);
    });
  });

  test('encoding and decoding are apart by half a step of each group at most', () => {
    const values = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i * i) * (1 + (i >> 4)));
    for (const offsets of [false, true]) {
      const decoded = decodeBytes(byteFormat(16, offsets), values);
      values.forEach((value, i) => {
        const group = values.subarray(i & ~15, (i & ~15) + 16);
        const step = offsets ? (Math.max(...group) - Math.min(...group)) / 255 : Math.max(...group.map(Math.abs)) / 127;
        expect(Math.abs(decoded[i]! - value)).toBeLessThanOrEqual(0.5001 * step);
      });
    }
  });

  const parts = (type: WeightType, maxBinding: number) =>
    new Graph(maxBinding).weight('w', { dtype: type, sources: [{ name: 'w', shape: [200, 24] }] });

  test('a part of a weight has the scales of its own rows', async () => {
    await withByteFormat(byteFormat(32, true), (type) => {
      const whole = parts(type, 1e6);
      expect(whole.scales).toMatchObject({ key: 'w.scales', role: 'weight', dtype: 'f32', shape: [150, 2] });
      const cut = parts(type, 64 * 24);
      expect(cut.parts!.map(({ key, shape }) => [key, shape[0]])).toEqual([
        ['w[0]', 64],
        ['w[64]', 64],
        ['w[128]', 64],
        ['w[192]', 8],
      ]);
      expect(cut.parts!.map(({ scales }) => [scales!.key, scales!.shape])).toEqual([
        ['w[0].scales', [48, 2]],
        ['w[64].scales', [48, 2]],
        ['w[128].scales', [48, 2]],
        ['w[192].scales', [6, 2]],
      ]);
      expect(cut.scales).toBeUndefined();
    });
  });

  test('the store plans for codes and scales, each where a binding may begin', async () => {
    await withByteFormat(byteFormat(32, true), (type) => {
      const graph = new Graph(64 * 24);
      graph.weight('w', { dtype: type, sources: [{ name: 'w', shape: [200, 24] }] });
      const align = (bytes: number) => Math.ceil(bytes / 256) * 256;
      const bytes = 3 * (align(64 * 24) + align(48 * 8)) + align(8 * 24) + align(6 * 8);
      expect(WeightStore.plan(graph, { info: limits }).total).toBe(bytes);
    });
  });

  test('groups that would straddle two tensors of a stack, or two parts, are refused', async () => {
    await withByteFormat(byteFormat(64, false), (type) => {
      const source = (name: string, rows: number, columns: number) => ({ name, shape: [rows, columns] });
      const stack = (rows: number) =>
        new Graph().weight('s', { dtype: type, sources: [source('a', rows, 16), source('b', 4, 16)] });
      expect(() => stack(6)).toThrow('whole groups');
      expect(stack(8).scales!.shape).toEqual([3]);
    });
    await withByteFormat(byteFormat(2 ** 11, false), (type) => {
      expect(() => parts(type, 64 * 24)).toThrow('whole groups');
    });
  });

  test('a weight of half a byte takes half the bytes', async () => {
    await withByteFormat(halfBytes, (type) => expect(byteSize(parts(type, 1e6))).toBe((200 * 24) / 2));
  });
});
