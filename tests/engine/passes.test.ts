import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/engine/graph.ts';
import { operandsOf } from '../../src/engine/ops/elementwise.ts';
import { binary, constant, operand, strength, unary } from '../../src/engine/ops/expression.ts';
import type { Expression } from '../../src/engine/ops/expression.ts';
import { MAP_OPERANDS, fuseMaps } from '../../src/engine/passes.ts';
import type { Tensor } from '../../src/engine/tensor.ts';
import { Random } from '../support/matmul.ts';
import { runMaps } from './interpreter.ts';
import { rounds, seeded } from '../support/seeds.ts';

const [ROWS, COLUMNS] = [6, 5];

const STEPS: readonly [arity: number, expression: Expression][] = [
  [1, unary('sigmoid', operand(0))],
  [1, binary('mul', operand(0), strength)],
  [1, unary('neg', binary('sub', operand(0), constant(2)))],
  [2, binary('add', operand(0), operand(1))],
  [2, binary('mul', operand(0), unary('tanh', operand(1)))],
  [3, binary('sub', binary('mul', operand(0), operand(1)), operand(2))],
];

function randomMaps(random: Random) {
  const graph = new Graph();
  const inputs = new Map<string, Float64Array>();
  const pool: Tensor[] = [];
  const shapes: readonly (readonly number[])[] = [[ROWS, COLUMNS], [ROWS, COLUMNS], [COLUMNS], [1], [2, COLUMNS]];
  shapes.forEach((shape, i) => {
    pool.push(graph.input(`in${i}`, shape));
    inputs.set(`in${i}`, Float64Array.from(random.normal(shape.reduce((a, b) => a * b))));
  });
  const full = new Set(pool.slice(0, 2));
  for (let i = random.int(1, 15); i > 0; i--) {
    const [arity, expression] = STEPS[random.int(0, STEPS.length - 1)]!;
    const pick = (): Tensor => pool[random.int(Math.max(0, pool.length - 6), pool.length - 1)]!;
    const operands = Array.from({ length: arity }, pick) as [Tensor, ...Tensor[]];
    // A result's shape is that of its largest operand; rows alone would shrink it.
    if (!operands.some((t) => full.has(t))) operands[0] = [...full][random.int(0, full.size - 1)]!;
    const y = graph.map(expression, operands);
    full.add(y);
    pool.push(y);
  }
  const results = [...full].filter((t) => t.role === 'intermediate');
  results.forEach((tensor, i) => {
    if (i === results.length - 1 || random.uniform() < 0.2) graph.output(`out${i}`, tensor);
  });
  return { graph, inputs };
}

const lengthened = (graph: Graph, x: Tensor, count: number): Tensor => {
  for (let i = 0; i < count; i++) x = graph.map(unary('sigmoid', operand(0)), [x]);
  return x;
};

describe('fusing elementwise chains', () => {
  seeded('300 random graphs compute the same, never in more nodes', ({ seed }) => {
    for (let round = 0; round < rounds(300); round++) {
      const note = `seed ${seed + round}`;
      const { graph, inputs } = randomMaps(new Random(seed + round));
      graph.dropUnused();
      const before = runMaps(graph, inputs, 0.6);
      const count = graph.nodes.length;
      fuseMaps(graph);
      expect(graph.nodes.length, note).toBeLessThanOrEqual(count);
      const after = runMaps(graph, inputs, 0.6);
      expect([...after.keys()], note).toEqual([...before.keys()]);
      for (const [key, values] of before) {
        after.get(key)!.forEach((value, i) => {
          expect(Math.abs(value - values[i]!), note).toBeLessThanOrEqual(1e-9 * (1 + Math.abs(values[i]!)));
        });
      }
      for (const node of graph.nodes) {
        if (node.op === 'map') expect(operandsOf(node.inputs).length, note).toBeLessThanOrEqual(MAP_OPERANDS);
      }
    }
  });

  test('random graphs have chains to fuse', () => {
    // Of seeds that are written down, so that the count is always the same.
    let fused = 0;
    for (let seed = 0; seed < 300; seed++) {
      const { graph } = randomMaps(new Random(seed));
      graph.dropUnused();
      fused += graph.nodes.length;
      fuseMaps(graph);
      fused -= graph.nodes.length;
    }
    expect(fused).toBeGreaterThan(300);
  });

  test('a chain becomes one node', () => {
    const graph = new Graph();
    const x = graph.input('x', [ROWS, COLUMNS]);
    graph.output('y', lengthened(graph, x, 9));
    fuseMaps(graph);
    expect(graph.nodes).toHaveLength(1);
    expect(operandsOf(graph.nodes[0]!.inputs as { x0: Tensor })).toEqual([x]);
  });

  test('a tensor used twice by its only reader is computed once inside it', () => {
    const graph = new Graph();
    const x = graph.input('x', [ROWS, COLUMNS]);
    const other = lengthened(graph, graph.input('z', [ROWS, COLUMNS]), 1);
    graph.output('other', other);
    const once = lengthened(graph, x, 1);
    graph.output('y', graph.multiply(once, once));
    const inputs = new Map([
      ['x', Float64Array.from({ length: ROWS * COLUMNS }, (_, i) => i / 7)],
      ['z', new Float64Array(ROWS * COLUMNS)],
    ]);
    const before = runMaps(graph, inputs, 1);
    fuseMaps(graph);
    expect(graph.nodes).toHaveLength(2);
    expect(runMaps(graph, inputs, 1)).toEqual(before);
  });

  test('results that others read, that are outputs, or that only stretch, stay', () => {
    const graph = new Graph();
    const x = graph.input('x', [ROWS, COLUMNS]);
    const row = graph.input('row', [COLUMNS]);
    const shared = lengthened(graph, x, 1);
    const [a, b] = [lengthened(graph, shared, 1), graph.map(unary('neg', operand(0)), [shared])];
    graph.output('shared twice', graph.add(a, b));
    const kept = lengthened(graph, x, 1);
    graph.output('kept', kept);
    graph.output('after', lengthened(graph, kept, 1));
    graph.output('stretched', graph.add(x, lengthened(graph, row, 1)));
    fuseMaps(graph);
    const outputs = graph.nodes.map((node) => (node.outputs as { y: Tensor }).y);
    expect(outputs).toContain(shared);
    expect(outputs).toContain(kept);
    // shared; a and b inside their sum; kept, after; the row's own map and the sum.
    expect(graph.nodes).toHaveLength(6);
  });

  test('other ops read what they read before', () => {
    const graph = new Graph();
    const x = graph.input('x', [ROWS, COLUMNS]);
    const y = lengthened(graph, x, 1);
    const total = graph.emit('columnSum', { x: y }, {}).y;
    graph.output('total', total);
    graph.output('z', lengthened(graph, y, 2));
    fuseMaps(graph);
    expect(graph.nodes.map(({ op }) => op)).toEqual(['map', 'columnSum', 'map']);
    expect((graph.nodes[1]!.inputs as { x: Tensor }).x).toBe(y);
  });

  test('no node takes more operands than a stage has bindings for', () => {
    const graph = new Graph();
    let sum = graph.input('x0', [ROWS, COLUMNS]);
    for (let i = 1; i <= 12; i++) sum = graph.add(sum, graph.input(`x${i}`, [ROWS, COLUMNS]));
    graph.output('sum', sum);
    const inputs = new Map(
      [...graph.inputs.keys()].map((key, i) => [key, new Float64Array(ROWS * COLUMNS).fill(2 ** i)]),
    );
    fuseMaps(graph);
    for (const node of graph.nodes) expect(operandsOf(node.inputs as { x0: Tensor }).length).toBeLessThanOrEqual(6);
    expect(graph.nodes).toHaveLength(3);
    expect([...runMaps(graph, inputs, 1).get('sum')!]).toEqual(new Array(ROWS * COLUMNS).fill(2 ** 13 - 1));
  });
});
