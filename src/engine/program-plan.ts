import type { Graph } from './graph.ts';
import { makeTensor } from './graph.ts';
import type { KernelCall, KernelTarget } from './kernels/kernel.ts';
import { SHADERS } from 'virtual:shaders';
import { OPERATIONS } from './ops/index.ts';
import { fuseMaps } from './passes.ts';
import type { KernelContext, Operand, OpDefinition } from './ops/types.ts';
import type { ArenaPlan, PlannedUse } from './planner.ts';
import { planArenas } from './planner.ts';
import type { Tensor } from './tensor.ts';
import { align, byteSize } from './tensor.ts';
import type { ExpandedShader } from './wgsl.ts';
import { STEP_FIELDS, expandShader, packFields } from './wgsl.ts';

export interface PlannedDispatch {
  call: KernelCall<Operand>;
  shader: ExpandedShader;
  /** bytes into the parameter buffer */
  paramsOffset: number;
}

export const STEP_BYTES = 4 * STEP_FIELDS.length;
export const tensorOf = (operand: Operand): Tensor => ('tensor' in operand ? operand.tensor : operand);

/** Results of the last runs wait in as many buffers, so that reading one does not hold up the next run. */
export const READ_BACK_RING = 2;

/** A list of dispatches with everything decided: kernels, memory, parameters. Needs no device; costs none. */
export class ProgramPlan {
  readonly dispatches: PlannedDispatch[] = [];
  readonly arenas: ArenaPlan<Tensor>;
  readonly inputs = new Map<string, { tensor: Tensor; offset: number; size: number }>();
  readonly outputs = new Map<string, { tensor: Tensor; offset: number; size: number }>();
  readonly inputBytes: number;
  readonly outputBytes: number;
  readonly paramsBytes: number;
  readonly params: Uint8Array<ArrayBuffer>;
  readonly flops: number;
  readonly bytesMoved: number;
  /** Bytes of intermediates that live from the forward into the backward part; the rest of the arenas is workspace. */
  readonly keptBytes: number;

  constructor(
    calls: readonly KernelCall<Operand>[],
    inputs: ReadonlyMap<string, Tensor>,
    outputs: ReadonlyMap<string, Tensor>,
    maxBinding: number,
  ) {
    const paramsSeen = new Map<string, number>();
    const blocks: { shader: ExpandedShader; call: KernelCall<Operand> }[] = [];
    const expanded = new Map<string, ExpandedShader>();
    let paramsBytes = 0;
    for (const call of calls) {
      if (call.grid.some((size) => size === 0)) continue;
      const key = `${call.shader} ${JSON.stringify(call.defines)} ${call.baked ? JSON.stringify(call.params) : ''}`;
      let shader = expanded.get(key);
      if (!shader) {
        const source = SHADERS[call.shader];
        if (source === undefined) throw new Error(`there is no shader ${call.shader}`);
        shader = expandShader(source, call.defines, SHADERS, call.baked ? call.params : undefined);
        expanded.set(key, shader);
      }
      let paramsOffset = 0;
      if (shader.usesParams) {
        const content = shader.params.map((field) => `${field.type}${call.params[field.name]}`).join();
        const known = paramsSeen.get(content);
        if (known === undefined) {
          paramsOffset = paramsBytes;
          paramsSeen.set(content, paramsOffset);
          paramsBytes += align(4 * shader.params.length);
          blocks.push({ shader, call });
        } else paramsOffset = known;
      }
      this.dispatches.push({ call, shader, paramsOffset });
    }
    this.paramsBytes = Math.max(4, paramsBytes);
    this.params = new Uint8Array(this.paramsBytes);
    const view = new DataView(this.params.buffer);
    let at = 0;
    for (const { shader, call } of blocks) {
      packFields(shader.params, call.params, view, at);
      at += align(4 * shader.params.length);
    }

    let offset = 0;
    for (const [key, tensor] of inputs) {
      const size = byteSize(tensor);
      this.inputs.set(key, { tensor, offset, size });
      offset += align(size);
    }
    this.inputBytes = offset;
    offset = 0;
    for (const [key, tensor] of outputs) {
      const size = byteSize(tensor);
      this.outputs.set(key, { tensor, offset, size });
      offset += size;
    }
    this.outputBytes = offset;

    const uses: PlannedUse<Tensor>[] = this.dispatches.map(({ call, shader }) => {
      const reads: Tensor[] = [];
      const writes: Tensor[] = [];
      for (const { name, access } of shader.buffers) {
        const operand = call.buffers[name];
        if (!operand) throw new Error(`the kernel ${call.shader} was given no buffer ${name}`);
        const tensor = tensorOf(operand);
        if (tensor.role === 'intermediate') (access === 'read' ? reads : writes).push(tensor);
      }
      return { reads, writes };
    });
    // Outputs live to the end.
    uses.push({ reads: [...outputs.values()], writes: [] });
    this.arenas = planArenas(uses, byteSize, maxBinding);
    this.flops = this.dispatches.reduce((sum, { call }) => sum + call.flops, 0);
    this.bytesMoved = this.dispatches.reduce((sum, { call }) => sum + call.bytes, 0);
    this.keptBytes = keptAcross(uses);
  }

  /** Plans what a graph computes. The graph is tidied in place: unused nodes dropped, elementwise chains fused. */
  static of(graph: Graph, target: KernelTarget, maxBinding: number): ProgramPlan {
    graph.dropUnused();
    fuseMaps(graph);
    const calls = graph.nodes.flatMap((node) => {
      const definition = OPERATIONS[node.op] as OpDefinition<never>;
      const context = {
        inputs: node.inputs,
        attributes: node.attributes,
        outputs: node.outputs,
        target,
        temporary: (shape, dtype = 'f32') =>
          makeTensor('intermediate', { shape, dtype, label: `${node.op} workspace` }),
      } as KernelContext<'map'>;
      return definition.kernels(context as never);
    });
    return new ProgramPlan(calls, graph.inputs, graph.outputs, maxBinding);
  }

  get arenaBytes(): number {
    return this.arenas.arenas.reduce((sum, size) => sum + size, 0);
  }

  /** Everything that Program.build will allocate, to the byte. */
  get totalBytes(): number {
    return this.arenaBytes + this.ioBytes;
  }

  get ioBytes(): number {
    const readBack = this.outputBytes > 0 ? this.outputBytes * READ_BACK_RING : 0;
    return Math.max(4, this.inputBytes) + this.paramsBytes + STEP_BYTES + readBack;
  }
}

/** What programs hold beside their arenas. */
export const ioBytes = (plans: readonly ProgramPlan[]): number => plans.reduce((sum, plan) => sum + plan.ioBytes, 0);

/** The most bytes alive at any point whose tensors are used again after a long gap: what a backward pass waits for. */
function keptAcross(uses: readonly PlannedUse<Tensor>[]): number {
  const touched = new Map<Tensor, number[]>();
  uses.forEach(({ reads, writes }, i) => {
    for (const tensor of [...reads, ...writes]) {
      const at = touched.get(tensor);
      if (at) at.push(i);
      else touched.set(tensor, [i]);
    }
  });
  const change = new Float64Array(uses.length + 1);
  for (const [tensor, at] of touched) {
    for (let i = 1; i < at.length; i++) {
      if (at[i]! - at[i - 1]! < 16) continue;
      change[at[i - 1]! + 1]! += byteSize(tensor);
      change[at[i]!]! -= byteSize(tensor);
    }
  }
  let alive = 0;
  return change.reduce((peak, bytes) => Math.max(peak, (alive += bytes)), 0);
}
