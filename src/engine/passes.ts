import type { Graph } from './graph.ts';
import type { Expression } from './ops/expression.ts';
import { operand, substitute } from './ops/expression.ts';
import type { Inputs, Node, NodeOf } from './ops/types.ts';
import type { Tensor } from './tensor.ts';

/** Storage buffers a stage are few: one result and this many operands. */
export const MAP_OPERANDS = 6;

const operandsOf = (node: NodeOf<'map'>): Tensor[] =>
  (Object.values(node.inputs) as (Tensor | undefined)[]).filter((t) => t !== undefined);
const sameShape = (a: Tensor, b: Tensor): boolean => a.shape.join() === b.shape.join();

/**
 * Fuses chains of elementwise nodes: a map whose result only another map of the same shape reads is computed inside it, so
 * the value between them is never written.
 */
export function fuseMaps(graph: Graph): void {
  const readers = new Map<Tensor, number>();
  for (const tensor of graph.outputs.values()) readers.set(tensor, 2);
  for (const node of graph.nodes) {
    for (const tensor of new Set(Object.values(node.inputs as Record<string, Tensor | undefined>))) {
      if (tensor) readers.set(tensor, (readers.get(tensor) ?? 0) + 1);
    }
  }
  const producers = new Map<Tensor, NodeOf<'map'>>();
  const result: Node[] = [];
  for (const node of graph.nodes) {
    if (node.op !== 'map') {
      result.push(node);
      continue;
    }
    const fused = fuseInto(node, producers, readers, result);
    producers.set(fused.outputs.y, fused);
    result.push(fused);
  }
  graph.nodes.splice(0, graph.nodes.length, ...result);
}

function fuseInto(
  node: NodeOf<'map'>,
  producers: Map<Tensor, NodeOf<'map'>>,
  readers: Map<Tensor, number>,
  result: Node[],
): NodeOf<'map'> {
  let operands = operandsOf(node);
  let expression: Expression = node.attributes.expression;
  for (const tensor of new Set(operands)) {
    const producer = producers.get(tensor);
    if (!producer || readers.get(tensor) !== 1 || !sameShape(tensor, node.outputs.y)) continue;
    const inner = operandsOf(producer);
    const joined = [...new Set([...operands.filter((t) => t !== tensor), ...inner])];
    if (joined.length > MAP_OPERANDS) continue;
    const before = operands;
    const innerExpression = substitute(producer.attributes.expression, (i) => operand(joined.indexOf(inner[i]!)));
    expression = substitute(expression, (i) =>
      before[i] === tensor ? innerExpression : operand(joined.indexOf(before[i]!)),
    );
    operands = joined;
    result.splice(result.indexOf(producer), 1);
  }
  const inputs = Object.fromEntries(operands.map((tensor, i) => [`x${i}`, tensor])) as unknown as Inputs<'map'>;
  return { ...node, inputs, attributes: { expression } };
}
