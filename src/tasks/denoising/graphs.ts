import { Graph } from '../../engine/graph.ts';
import type { DType } from '../../engine/tensor.ts';
import type { Conditioner } from '../../models/diffusion/conditioner.ts';
import type { Denoiser, DenoiserShape, Lengths } from '../../models/diffusion/denoiser.ts';
import type { AdapterHook } from '../../models/layers/builder.ts';
import { ModelBuilder } from '../../models/layers/builder.ts';

export interface GraphOptions {
  dtypeOf: (name: string) => DType;
  adapter?: AdapterHook | undefined;
  maxBinding: number;
}

export interface DenoiserGraphOptions extends GraphOptions {
  denoiser: Denoiser;
}

export interface ConditionerGraphOptions extends GraphOptions {
  conditioner: Conditioner;
}

/** An empty graph and what emits a model's layers into it. */
export function newGraph({ dtypeOf, adapter, maxBinding }: GraphOptions): { graph: Graph; builder: ModelBuilder } {
  const graph = new Graph(maxBinding);
  return { graph, builder: new ModelBuilder({ graph, dtypeOf, adapter }) };
}

/** Inputs as the conditioner's; its conditions as outputs, by their names. */
export function conditionsGraph(options: ConditionerGraphOptions, shape: { rows: number; lengths: Lengths }): Graph {
  const { graph, builder } = newGraph(options);
  const conditions = options.conditioner.forward(builder, shape, { training: false });
  for (const [name, tensor] of Object.entries(conditions)) graph.output(name, tensor);
  return graph;
}

/** Inputs as the denoiser's; output `prediction` [rows · positions, channels]. */
export function predictionGraph(options: DenoiserGraphOptions, shape: DenoiserShape): Graph {
  const { graph, builder } = newGraph(options);
  graph.output('prediction', options.denoiser.forward(builder, shape, { training: false }));
  return graph;
}

/**
 * Inputs as the denoiser's (with a conditioner that is trained along its inputs in place of the conditions that it gives),
 * `target` [rows · positions, channels] and `weight` [rows · positions]; output `loss`, Σ weight (prediction - target)².
 * @param conditioner one that is trained along
 * @param recompute with a number: gradients are taken, and the first so many blocks are computed again instead of kept
 */
export function lossGraph(
  options: DenoiserGraphOptions,
  shape: DenoiserShape,
  { conditioner, recompute }: { conditioner?: Conditioner | undefined; recompute?: number | undefined } = {},
): { graph: Graph; blocks: number } {
  const { denoiser } = options;
  const { graph, builder } = newGraph(options);
  const training = recompute !== undefined;
  const given = conditioner?.forward(builder, shape, { training });
  const x = denoiser.forward(builder, shape, { training, ...(given && { given }) });
  const rows = shape.rows * denoiser.positions(shape.sample);
  const target = graph.input('target', [rows, denoiser.channels]);
  const weight = graph.input('weight', [rows]);
  const { loss } = graph.emit('squaredError', { x, target, weight }, { withGradient: training });
  graph.output('loss', graph.emit('sum', { x: loss }, {}).y);
  if (training) graph.backward((block) => block < recompute);
  return { graph, blocks: builder.blocks };
}
