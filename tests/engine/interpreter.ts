import type { Graph } from '../../src/engine/graph.ts';
import { operandsOf } from '../../src/engine/ops/elementwise.ts';
import type { Expression } from '../../src/engine/ops/expression.ts';
import type { Tensor } from '../../src/engine/tensor.ts';
import { elementCount, matrix } from '../../src/engine/tensor.ts';
import { erf } from '../support/erf.ts';

/** An elementwise expression at one element, in float64. */
export function evaluate(e: Expression, operands: readonly number[], strength: number): number {
  const of = (inner: Expression): number => evaluate(inner, operands, strength);
  switch (e.kind) {
    case 'operand':
      return operands[e.index]!;
    case 'constant':
      return e.value;
    case 'strength':
      return strength;
    case 'add':
      return of(e.a) + of(e.b);
    case 'sub':
      return of(e.a) - of(e.b);
    case 'mul':
      return of(e.a) * of(e.b);
    case 'div':
      return of(e.a) / of(e.b);
    case 'neg':
      return -of(e.a);
    case 'exp':
      return Math.exp(of(e.a));
    case 'log':
      return Math.log(of(e.a));
    case 'sqrt':
      return Math.sqrt(of(e.a));
    case 'tanh':
      return Math.tanh(of(e.a));
    case 'sigmoid':
      return 1 / (1 + Math.exp(-of(e.a)));
    case 'erf':
      return erf(of(e.a));
    case 'expm1':
      return Math.expm1(of(e.a));
    case 'relu':
      return Math.max(of(e.a), 0);
    case 'positive':
      return Number(of(e.a) > 0);
  }
}

/** The outputs of a graph of map nodes, computed on the processor: operands of full size, one row, a row for a group, or one number. */
export function runMaps(
  graph: Graph,
  inputs: ReadonlyMap<string, Float64Array>,
  strength: number,
): Map<string, Float64Array> {
  const values = new Map<Tensor, Float64Array>();
  for (const [key, tensor] of graph.inputs) values.set(tensor, inputs.get(key)!);
  for (const node of graph.nodes) {
    if (node.op !== 'map') throw new Error(`the interpreter knows no ${node.op}`);
    const { y } = node.outputs;
    const operands = operandsOf(node.inputs).map((tensor) => values.get(tensor)!);
    const { rows, columns } = matrix(y);
    const count = elementCount(y.shape);
    const at = (data: Float64Array, i: number): number => {
      if (data.length === count || data.length === 1) return data[data.length === 1 ? 0 : i]!;
      const row = Math.floor(Math.floor(i / columns) / (rows / (data.length / columns)));
      return data[row * columns + (i % columns)]!;
    };
    values.set(
      y,
      Float64Array.from({ length: count }, (_, i) =>
        evaluate(
          node.attributes.expression,
          operands.map((data) => at(data, i)),
          strength,
        ),
      ),
    );
  }
  return new Map([...graph.outputs].map(([key, tensor]) => [key, values.get(tensor)!]));
}
