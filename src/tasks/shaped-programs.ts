import type { Graph } from '../engine/graph.ts';
import type { ProgramPlan } from '../engine/program.ts';
import type { RunPlanOptions } from '../training/run-plan.ts';

export interface ShapedPrograms<Shape> {
  shapes: readonly Shape[];
  /** `Batch.program` of its batches. */
  name: (shape: Shape) => string;
  planOf: (graph: Graph) => ProgramPlan;
  /** Whether held-out losses are taken. */
  evaluates: boolean;
  /** The loss alone. */
  evaluate: (shape: Shape) => Graph;
  /** Loss and gradients, with so many blocks computed again of those that could be. */
  micro: (shape: Shape, recompute: number) => { graph: Graph; blocks: number };
}

/** The programs of a run whose batches come in several shapes, for `planRun`: one for each. */
export function shapedPrograms<Shape>({
  shapes,
  name,
  planOf,
  evaluates,
  evaluate,
  micro,
}: ShapedPrograms<Shape>): Pick<RunPlanOptions, 'evaluate' | 'micro'> {
  return {
    evaluate: new Map((evaluates ? shapes : []).map((shape) => [name(shape), planOf(evaluate(shape))])),
    micro(recompute) {
      const traced = shapes.map((shape) => ({ shape, ...micro(shape, recompute) }));
      return {
        programs: new Map(traced.map(({ shape, graph }) => [name(shape), planOf(graph)])),
        blocks: traced[0]!.blocks,
      };
    },
  };
}
