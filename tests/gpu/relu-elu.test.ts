import { describe, expect } from 'vitest';
import { Graph } from '../../src/engine/graph.ts';
import { derivative, elu, operand, relu } from '../../src/engine/ops/expression.ts';
import { FAMILIES, familyDevice, runGraph } from './engine/support.ts';
import type { Random } from '../support/matmul.ts';
import { seeded } from '../support/seeds.ts';

/** Sizes of all orders and both signs, and the ends. */
function someValues(random: Random): Float32Array<ArrayBuffer> {
  const values = Float32Array.from({ length: 400 }, () => {
    const size = 10 ** (8 * random.uniform() - 7);
    return random.uniform() < 0.5 ? size : -size;
  });
  values.set([0, -0, 1e-30, -1e-30, 88.5, -88.5, 1e30, -1e30, -0.5, 0.5, -0.499999, -0.500001]);
  return values;
}

describe.each(FAMILIES)('relu and elu, %s family', (family) => {
  seeded.each([
    [8, 50],
    [80, 5],
  ])('over %i × %i, with their slopes', async ({ random }, [rows, columns]) => {
    const values = someValues(random);
    const graph = new Graph();
    const x = graph.input('x', [rows, columns]);
    const expressions = { relu: relu(operand(0)), elu: elu(operand(0)), third: elu(operand(0), 0.3) };
    for (const [name, e] of Object.entries(expressions)) {
      graph.output(name, graph.map(e, [x]));
      graph.output(`${name}'`, graph.map(derivative(e, 0), [x]));
    }
    const { outputs } = await runGraph(await familyDevice(family), graph, { inputs: { x: values } });
    values.forEach((value, i) => {
      const note = `at ${value}`;
      // + 0: a zero may have either sign.
      expect(outputs['relu']![i]! + 0, note).toBe(Math.max(0, value));
      expect(outputs["relu'"]![i], note).toBe(Number(value > 0));
      for (const [name, alpha] of [
        ['elu', 1],
        ['third', 0.3],
      ] as const) {
        const expected = value > 0 ? value : alpha * Math.expm1(value);
        const slope = value > 0 ? 1 : alpha * Math.exp(value);
        // Small numbers keep their digits: exp(x) - 1 would have none left of them.
        // No sums, only exp: WGSL's is good to 3 last places and two more for each 1 of |x|, which its size outweighs.
        expect(Math.abs(outputs[name]![i]! - expected), note).toBeLessThanOrEqual(2e-6 * Math.abs(expected));
        expect(Math.abs(outputs[`${name}'`]![i]! - slope), note).toBeLessThanOrEqual(1e-6);
      }
    });
  });
});
