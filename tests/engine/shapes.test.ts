import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/engine/graph.ts';
import { loraSegments } from '../../src/engine/kernels/lora_segments.ts';
import { OPERATIONS } from '../../src/engine/ops/index.ts';
import { operand } from '../../src/engine/ops/expression.ts';
import { clippedSegments, weightParts } from '../../src/engine/ops/linear.ts';
import type { Tensor } from '../../src/engine/tensor.ts';

const graph = new Graph();
let count = 0;
const tensor = (...shape: number[]): Tensor => graph.input(`t${count++}`, shape);
const weight = (rows: number, columns?: number): Tensor =>
  graph.weight(`w${count++}`, {
    dtype: 'f32',
    sources: [{ name: 'w', shape: columns === undefined ? [rows] : [rows, columns] }],
  });
const parameter = (...shape: number[]): Tensor => graph.parameter(`p${count++}`, shape);
const none = { segments: [] };
const images = { images: 2, eps: 1e-5, activation: null };
const lora = {
  segments: loraSegments([
    { columns: 6, rank: 2, scale: 1 },
    { columns: 4, rank: 3, scale: 2 },
  ]),
};

describe('results have the shape that their op says', () => {
  test('linear', () => {
    const y = graph.emit('linear', { x: tensor(2, 3, 5), weight: weight(7, 5) }, none);
    expect(y.y.shape).toEqual([6, 7]);
    expect(y.h).toBeUndefined();
    const low = { x: tensor(4, 5), weight: weight(10, 5), a: parameter(5, 5), b: parameter(24) };
    const { h } = graph.emit('linear', low, lora);
    expect(h?.shape).toEqual([4, 5]);
    const g = graph.emit('loraUpBackward', { dy: tensor(4, 10), b: low.b }, lora).g;
    expect(g.shape).toEqual([4, 5]);
    const back = graph.emit('linearBackward', { dy: tensor(4, 10), weight: low.weight, g, a: low.a }, {});
    expect(back.dx.shape).toEqual([4, 5]);
  });

  test('the rest', () => {
    expect(graph.emit('embedding', { ids: tensor(2, 3), table: weight(9, 4) }, { scale: 1 }).y.shape).toEqual([6, 4]);
    const norm = graph.emit('rmsNorm', { x: tensor(3, 8), weight: weight(8) }, { eps: 1e-6, offset: 0 });
    expect([norm.y.shape, norm.rstd.shape]).toEqual([[3, 8], [3]]);
    expect(graph.emit('gatedActivation', { x: tensor(3, 10) }, { activation: 'silu', gate: 'first' }).y.shape).toEqual([
      3, 5,
    ]);
    expect(graph.emit('concat', { x0: tensor(3, 2), x1: tensor(3, 5), x2: tensor(3, 1) }, {}).y.shape).toEqual([3, 8]);
    expect(graph.emit('slice', { x: tensor(3, 8) }, { offset: 5, width: 3 }).y.shape).toEqual([3, 3]);
    expect(graph.emit('columnSum', { x: tensor(3, 8) }, {}).y.shape).toEqual([8]);
    expect(graph.emit('sum', { x: tensor(3, 8) }, {}).y.shape).toEqual([1]);
    expect(graph.emit('dropout', { x: tensor(3, 8) }, { p: 0.5, salt: 1 }).y.shape).toEqual([3, 8]);
    expect(graph.map(operand(0), [tensor(1), tensor(3, 8), tensor(8)]).shape).toEqual([3, 8]);
    const attributes = { heads: 4, kvHeads: 2, headDim: 6, scale: 1, qOffset: 0, kOffset: 24, vOffset: 36 };
    const qkv = tensor(5, 48);
    const heard = graph.emit('attention', { q: qkv, k: qkv, v: qkv, keyRanges: tensor(5, 2) }, attributes);
    expect([heard.o.shape, heard.lse.shape]).toEqual([
      [5, 24],
      [4, 5],
    ]);
    const head = { x: tensor(4, 8), weight: weight(11, 8), labels: tensor(4) };
    const loss = graph.emit('crossEntropyHead', head, { withGradient: true, chunkRows: 64 });
    expect([loss.loss.shape, loss.dx?.shape]).toEqual([[4], [4, 8]]);
    expect(graph.emit('crossEntropyHead', head, { withGradient: false, chunkRows: 64 }).dx).toBeUndefined();
  });

  test('those of images', () => {
    const affine = { weight: weight(8), bias: weight(8) };
    const layer = graph.emit('layerNorm', { x: tensor(3, 8), ...affine }, { eps: 1e-5 });
    expect([layer.y.shape, layer.stats.shape]).toEqual([
      [3, 8],
      [3, 2],
    ]);
    const norm = graph.emit('groupNorm', { x: tensor(6, 8), ...affine }, { ...images, groups: 4 });
    expect([norm.y.shape, norm.stats.shape]).toEqual([
      [6, 8],
      [8, 2],
    ]);
    expect(graph.map(operand(0), [tensor(6, 8), tensor(2, 8)]).shape).toEqual([6, 8]);
    expect(graph.emit('columnSum', { x: tensor(6, 8) }, { groups: 3 }).y.shape).toEqual([3, 8]);
    const error = { x: tensor(6, 4), target: tensor(6, 4), weight: tensor(6) };
    const { loss, dx } = graph.emit('squaredError', error, { withGradient: true });
    expect([loss.shape, dx?.shape]).toEqual([[6], [6, 4]]);
    const attributes = { heads: 4, kvHeads: 4, headDim: 6, scale: 1, qOffset: 0, kOffset: 0, vOffset: 24 };
    const [q, kv] = [tensor(5, 24), tensor(7, 48)];
    const heard = { dO: tensor(5, 24), o: tensor(5, 24), lse: tensor(4, 5), q, k: kv, v: kv, keyRanges: tensor(5, 2) };
    const backward = (wants: 'q' | 'kv' | 'both') => {
      const given = { ...heard, queryRanges: tensor(7, 2) };
      const { dq, dkv } = graph.emit('attentionBackward', given, { ...attributes, wants });
      return [dq?.shape, dkv?.shape];
    };
    expect(backward('both')).toEqual([
      [5, 24],
      [7, 48],
    ]);
    expect(backward('q')).toEqual([[5, 24], undefined]);
    expect(backward('kv')).toEqual([undefined, [7, 48]]);
  });
});

describe('what does not fit is refused', () => {
  const rope = { heads: 4, kvHeads: 2, headDim: 6, rotaryDim: 6, eps: 1e-6 };
  const packed = { heads: 4, kvHeads: 2, headDim: 6, scale: 1, qOffset: 0, kOffset: 24, vOffset: 36 };
  const cases: [string, () => unknown, string][] = [
    [
      'linear, columns of x',
      () => graph.emit('linear', { x: tensor(2, 4), weight: weight(7, 5) }, none),
      '4 columns where 5',
    ],
    [
      'linear, residual',
      () => graph.emit('linear', { x: tensor(2, 5), weight: weight(7, 5), residual: tensor(2, 6) }, none),
      '6 columns where 7',
    ],
    [
      'linear, rows of the residual',
      () => graph.emit('linear', { x: tensor(2, 5), weight: weight(7, 5), residual: tensor(3, 7) }, none),
      'rows',
    ],
    [
      'linear, bias',
      () => graph.emit('linear', { x: tensor(2, 5), weight: weight(7, 5), bias: weight(5) }, none),
      'bias',
    ],
    [
      'linear, segments without A',
      () => graph.emit('linear', { x: tensor(2, 5), weight: weight(10, 5) }, lora),
      'A and B',
    ],
    [
      'linear, A without segments',
      () =>
        graph.emit('linear', { x: tensor(2, 5), weight: weight(10, 5), a: parameter(2, 5), b: parameter(20) }, none),
      'A and B',
    ],
    [
      'linear, segments that do not cover the columns',
      () =>
        graph.emit('linear', { x: tensor(2, 5), weight: weight(11, 5), a: parameter(5, 5), b: parameter(24) }, lora),
      'columns',
    ],
    [
      'linear, A of other columns',
      () =>
        graph.emit('linear', { x: tensor(2, 5), weight: weight(10, 5), a: parameter(5, 4), b: parameter(24) }, lora),
      '4 columns where 5',
    ],
    [
      'linearBackward',
      () => graph.emit('linearBackward', { dy: tensor(2, 6), weight: weight(7, 5) }, {}),
      '6 columns where 7',
    ],
    [
      'rmsNorm',
      () => graph.emit('rmsNorm', { x: tensor(3, 8), weight: weight(7) }, { eps: 1e-6, offset: 0 }),
      'one weight for each column',
    ],
    ['headNormRope', () => graph.emit('headNormRope', { x: tensor(5, 47), positions: tensor(5) }, rope), 'q | k | v'],
    [
      'attention, query columns',
      () =>
        graph.emit(
          'attention',
          { q: tensor(5, 20), k: tensor(5, 12), v: tensor(5, 12), keyRanges: tensor(5, 2) },
          { ...packed, kOffset: 0, vOffset: 0 },
        ),
      'attention',
    ],
    [
      'attention, value columns',
      () =>
        graph.emit(
          'attention',
          { q: tensor(5, 47), k: tensor(5, 47), v: tensor(5, 47), keyRanges: tensor(5, 2) },
          packed,
        ),
      'attention',
    ],
    [
      'attention, ranges',
      () =>
        graph.emit(
          'attention',
          { q: tensor(5, 48), k: tensor(5, 48), v: tensor(5, 48), keyRanges: tensor(4, 2) },
          packed,
        ),
      'keyRanges',
    ],
    [
      'gatedActivation',
      () => graph.emit('gatedActivation', { x: tensor(3, 9) }, { activation: 'silu', gate: 'second' }),
      'even',
    ],
    ['map', () => graph.map(operand(0), [tensor(3, 8), tensor(3)]), 'does not stretch'],
    ['map, groups', () => graph.map(operand(0), [tensor(6, 8), tensor(4, 8)]), 'does not stretch'],
    ['columnSum, groups', () => graph.emit('columnSum', { x: tensor(6, 8) }, { groups: 4 }), '6 rows are not 4'],
    [
      'layerNorm',
      () => graph.emit('layerNorm', { x: tensor(3, 8), weight: weight(8), bias: weight(4) }, { eps: 1e-5 }),
      'one weight and one bias',
    ],
    [
      'groupNorm, images',
      () => graph.emit('groupNorm', { x: tensor(5, 8), weight: weight(8), bias: weight(8) }, { ...images, groups: 4 }),
      '5 rows are not 2 images',
    ],
    [
      'groupNorm, groups',
      () => graph.emit('groupNorm', { x: tensor(6, 8), weight: weight(8), bias: weight(8) }, { ...images, groups: 3 }),
      '8 channels are not 3 groups',
    ],
    [
      'squaredError, target',
      () =>
        graph.emit(
          'squaredError',
          { x: tensor(6, 4), target: tensor(5, 4), weight: tensor(6) },
          { withGradient: true },
        ),
      'a target for each row',
    ],
    [
      'squaredError, weights',
      () =>
        graph.emit(
          'squaredError',
          { x: tensor(6, 4), target: tensor(6, 4), weight: tensor(4) },
          { withGradient: true },
        ),
      'one weight for each row',
    ],
    [
      'attention, two wide heads',
      () =>
        graph.emit(
          'attention',
          { q: tensor(5, 600), k: tensor(5, 600), v: tensor(5, 600), keyRanges: tensor(5, 2) },
          { heads: 2, kvHeads: 2, headDim: 300, scale: 1, qOffset: 0, kOffset: 0, vOffset: 0 },
        ),
      'only one, of at most 512',
    ],
    ['concat', () => graph.emit('concat', { x0: tensor(3, 8), x1: tensor(4, 8) }, {}), 'different numbers of rows'],
    ['slice', () => graph.emit('slice', { x: tensor(3, 8) }, { offset: 6, width: 3 }), 'outside of the matrix'],
    ['columnSum', () => graph.emit('columnSum', { x: tensor(3, 8), z: tensor(3, 7) }, {}), 'columnSum'],
    ['dropout', () => graph.emit('dropout', { x: tensor(3, 8) }, { p: 1, salt: 1 }), 'below 1'],
    [
      'crossEntropyHead, labels',
      () =>
        graph.emit(
          'crossEntropyHead',
          { x: tensor(4, 8), weight: weight(11, 8), labels: tensor(3) },
          { withGradient: false, chunkRows: 64 },
        ),
      'one label for each row',
    ],
    [
      'crossEntropyHead, columns',
      () =>
        graph.emit(
          'crossEntropyHead',
          { x: tensor(4, 7), weight: weight(11, 8), labels: tensor(4) },
          { withGradient: false, chunkRows: 64 },
        ),
      '7 columns where 8',
    ],
    [
      'crossEntropyHead, chunks',
      () =>
        graph.emit(
          'crossEntropyHead',
          { x: tensor(400, 8), weight: weight(11, 8), labels: tensor(400) },
          { withGradient: false, chunkRows: 100 },
        ),
      'multiples of 64',
    ],
    [
      'scatterRows',
      () => graph.emit('scatterRows', { x: tensor(4, 8), indices: tensor(4) }, { offset: 4, width: 5 }),
      'outside of the matrix',
    ],
    [
      'doraNorm',
      () =>
        graph.emit('doraNorm', { weight: weight(6, 5), a: parameter(2, 4), b: parameter(12) }, { rank: 2, scale: 1 }),
      'doraNorm',
    ],
  ];
  test.each(cases)('%s', (_, emit, message) => {
    expect(emit).toThrow(message);
  });

  test('a gradient through a single number is refused, not left out', () => {
    const g = new Graph();
    const p = g.parameter('p', [1]);
    const x = g.map({ kind: 'mul', a: operand(0), b: operand(1) }, [g.input('x', [3, 8]), p]);
    const w = g.weight('w', { dtype: 'f32', sources: [{ name: 'w', shape: [5, 8] }] });
    g.emit(
      'crossEntropyHead',
      { x, weight: w, labels: g.input('labels', [3], 'i32') },
      { withGradient: true, chunkRows: 64 },
    );
    expect(() => g.backward()).toThrow('single number cannot be trained');
  });

  test('of attention: through a wide head, keys beside values, columns beside heads, keys without query ranges', () => {
    const attempt = (
      tensors: { q: number; k: number; v?: number; trained: 'q' | 'k' },
      attributes: { headDim: number; vOffset: number },
    ) => {
      const g = new Graph();
      const make = (name: string, columns: number): Tensor => {
        const x = g.input(name, [4, columns]);
        return tensors.trained === name ? g.multiply(x, g.parameter('p', [columns])) : x;
      };
      const [q, k] = [make('q', tensors.q), make('k', tensors.k)];
      const v = tensors.v === undefined ? k : make('v', tensors.v);
      const keyRanges = g.input('ranges', [4, 2], 'u32');
      const heads = { heads: 1, kvHeads: 1, scale: 1, qOffset: 0, kOffset: 0, ...attributes };
      const { o } = g.emit('attention', { q, k, v, keyRanges }, heads);
      const given = { x: o, target: g.input('target', [4, attributes.headDim]), weight: g.input('weight', [4]) };
      g.emit('squaredError', given, { withGradient: true });
      g.backward();
      return g.nodes.map(({ op }) => op);
    };
    const six = { headDim: 6, vOffset: 6 };
    expect(attempt({ q: 6, k: 12, trained: 'q' }, six)).toContain('attentionBackward');
    expect(() => attempt({ q: 6, k: 12, trained: 'k' }, six)).toThrow('need queryRanges');
    expect(() => attempt({ q: 7, k: 12, trained: 'q' }, six)).toThrow('further columns');
    expect(() => attempt({ q: 6, k: 6, v: 6, trained: 'q' }, { headDim: 6, vOffset: 0 })).toThrow(
      'k and v in one matrix',
    );
    expect(() => attempt({ q: 300, k: 600, trained: 'q' }, { headDim: 300, vOffset: 300 })).toThrow('more than 256');
  });

  test('a squared error has one input that can be trained, and none without gradient', () => {
    const attempt = (trained: 'x' | 'target', withGradient: boolean) => () => {
      const g = new Graph();
      const [x, target] = ['x', 'target'].map((name) => {
        const given = g.input(name, [3, 8]);
        return name === trained ? g.multiply(given, g.parameter('p', [8])) : given;
      }) as [Tensor, Tensor];
      g.emit('squaredError', { x, target, weight: g.input('weight', [3]) }, { withGradient });
      g.backward();
      return g.gradients.size;
    };
    expect(attempt('x', true)()).toBe(1);
    expect(attempt('x', false)).toThrow('without gradient');
    expect(attempt('target', true)).toThrow('only x can be trained');
  });

  test('a head built without gradient cannot be trained through', () => {
    const g = new Graph();
    const x = g.map({ kind: 'add', a: operand(0), b: operand(1) }, [g.input('x', [3, 8]), g.parameter('p', [8])]);
    const w = g.weight('w', { dtype: 'f32', sources: [{ name: 'w', shape: [5, 8] }] });
    g.emit(
      'crossEntropyHead',
      { x, weight: w, labels: g.input('labels', [3], 'i32') },
      { withGradient: false, chunkRows: 64 },
    );
    expect(() => g.backward()).toThrow('without gradient');
  });
});

describe('segments and parts', () => {
  test('a shard sees the part of each segment that lies in its rows, and every rank', () => {
    const segments = loraSegments([
      { columns: 100, rank: 4, scale: 1 },
      { columns: 50, rank: 0, scale: 1 },
      { columns: 106, rank: 2, scale: 3 },
    ]);
    const of = (start: number, end: number) =>
      clippedSegments(segments, start, end).map(({ columns, rank, hOffset, bOffset }) => [
        columns,
        rank,
        hOffset,
        bOffset,
      ]);
    // B: 100 × 4 elements of the first segment, then the third's.
    expect(of(0, 64)).toEqual([
      [64, 4, 0, 0],
      [0, 0, 4, 400],
      [0, 2, 4, 400],
    ]);
    expect(of(64, 128)).toEqual([
      [36, 4, 0, 256],
      [28, 0, 4, 400],
      [0, 2, 4, 400],
    ]);
    expect(of(128, 256)).toEqual([
      [0, 4, 0, 0],
      [22, 0, 4, 400],
      [106, 2, 4, 400],
    ]);
    for (const [start, end] of [
      [0, 64],
      [64, 128],
      [128, 256],
    ] as const) {
      const clipped = clippedSegments(segments, start, end);
      expect(clipped.reduce((sum, { columns }) => sum + columns, 0)).toBe(end - start);
      // h has a column for every rank, whichever rows are asked for.
      expect(clipped.reduce((sum, { rank }) => sum + rank, 0)).toBe(6);
    }
  });

  test('parts follow one another', () => {
    const sharded = new Graph(64 * 4 * 5).weight('w', { dtype: 'f32', sources: [{ name: 'w', shape: [150, 5] }] });
    expect([...weightParts(sharded)].map(({ row, rows }) => [row, rows])).toEqual([
      [0, 64],
      [64, 64],
      [128, 22],
    ]);
  });

  test('every op has its entry', () => {
    for (const [name, definition] of Object.entries(OPERATIONS)) {
      expect(definition.outputs, name).toBeTypeOf('function');
      expect(definition.kernels, name).toBeTypeOf('function');
    }
  });
});
