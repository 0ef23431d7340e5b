import { describe, expect, test } from 'vitest';
import { parseLoraConfig, resolveTargets } from '../../src/adapters/lora-config.ts';
import { LoraLayout } from '../../src/adapters/layout.ts';
import { Graph, makeTensor } from '../../src/engine/graph.ts';
import type { KernelTarget } from '../../src/engine/kernels/kernel.ts';
import { operand, unary } from '../../src/engine/ops/expression.ts';
import { OPERATIONS } from '../../src/engine/ops/index.ts';
import type { Node, NodeOf, OpName, OpTable } from '../../src/engine/ops/types.ts';
import { ProgramPlan } from '../../src/engine/program.ts';
import type { Tensor } from '../../src/engine/tensor.ts';
import { byteSize } from '../../src/engine/tensor.ts';
import { causalLmModules } from '../../src/models/causal-lm/causal-lm.ts';
import { parseCausalLm } from '../../src/models/causal-lm/registry.ts';
import type { VoiceGraphOptions } from '../../src/tasks/voice/graphs.ts';
import { lossGraph } from '../../src/tasks/voice/graphs.ts';
import { TINY } from '../support/tiny.ts';
import type { ConfigJson } from '../support/tiny.ts';

const TARGET: KernelTarget = {
  family: 'gpu',
  subgroups: false,
  subgroupSize: 4,
  hasF16: false,
  maxInvocations: 256,
  maxWorkgroupStorage: 16384,
};

const tensors = (record: object): Tensor[] =>
  (Object.values(record) as (Tensor | undefined)[]).filter((t) => t !== undefined);
const only = <K extends OpName>(graph: Graph, op: K): NodeOf<K>[] =>
  graph.nodes.filter((node: Node) => node.op === op) as unknown as NodeOf<K>[];

function voice(lora: ConfigJson, config: ConfigJson = {}): VoiceGraphOptions {
  const lm = parseCausalLm({ ...TINY, ...config });
  const loraConfig = parseLoraConfig(lora);
  const adapter = new LoraLayout(resolveTargets(loraConfig, causalLmModules(lm)), loraConfig, true);
  return { lm, dtypeOf: () => 'f32', maxBinding: Infinity, adapter };
}

const ALL = { r: 4, target_modules: 'all-linear' };

describe('gradients', () => {
  test('go to every adapter tensor and to nothing else', () => {
    const graph = lossGraph(voice({ ...ALL, use_dora: true }), 8, 64, 0);
    const parameters = new Set(
      graph.nodes.flatMap(({ inputs }) => tensors(inputs)).filter(({ role }) => role === 'parameter'),
    );
    // Seven projections of two layers, each with A, B and DoRA's magnitude.
    expect(parameters.size).toBe(2 * 7 * 3);
    expect(new Set(graph.gradients.keys())).toEqual(parameters);
    for (const [parameter, gradient] of graph.gradients) {
      expect(gradient.role).toBe('gradient');
      expect(gradient.shape).toEqual(parameter.shape);
    }
    const written = graph.nodes.flatMap(({ outputs }) => tensors(outputs));
    expect(written.every(({ role }) => role === 'intermediate' || role === 'gradient')).toBe(true);
    for (const gradient of graph.gradients.values()) expect(written.filter((t) => t === gradient)).toHaveLength(1);
    // Nothing but the optimiser reads a gradient.
    expect(graph.nodes.flatMap(({ inputs }) => tensors(inputs)).some(({ role }) => role === 'gradient')).toBe(false);
  });

  test('a frozen weight has none to give', () => {
    const graph = new Graph();
    const weight = graph.weight('w', { dtype: 'f32', sources: [{ name: 'w', shape: [4, 4] }] });
    expect(() => graph.gradientOf(weight)).toThrow('is not trained');
    expect(() => graph.gradientOf(graph.input('x', [4]))).toThrow('is not trained');
  });

  test('a parameter that two nodes use is refused, not half counted', () => {
    const graph = new Graph();
    const p = graph.parameter('p', [4]);
    const x = graph.multiply(graph.multiply(graph.input('x', [3, 4]), p), p);
    const weight = graph.weight('head', { dtype: 'f32', sources: [{ name: 'head', shape: [6, 4] }] });
    graph.emit(
      'crossEntropyHead',
      { x, weight, labels: graph.input('labels', [3], 'i32') },
      { withGradient: true, chunkRows: 64 },
    );
    expect(() => graph.backward()).toThrow('p is used twice');
  });

  test('stop where nothing trained lies further down', () => {
    // Blocks 0 and 1 are frozen: no backward work on them at all.
    const options = voice(
      { ...ALL, target_modules: ['q_proj', 'v_proj'], layers_to_transform: [2] },
      { num_hidden_layers: 4 },
    );
    const graph = lossGraph(options, 8, 64, 0);
    const weights = only(graph, 'linearBackward').map(({ inputs }) => inputs.weight.key ?? '');
    expect(weights.length).toBeGreaterThan(0);
    expect(weights.filter((key) => /layers\.[01]\./.test(key))).toEqual([]);
    // In block 2 the gradient ends at q and v: nothing goes on to the block's input.
    expect(weights.filter((key) => key.includes('layers.2.self_attn.q_proj'))).toEqual([]);
    expect(weights.some((key) => key.includes('layers.2.self_attn.o_proj'))).toBe(true);
    expect(weights.some((key) => key.includes('layers.3.self_attn.q_proj'))).toBe(true);
    expect(only(graph, 'attentionBackward')).toHaveLength(2);
    expect(only(graph, 'rmsNormBackward')).toHaveLength(1 + 2 + 1);
  });

  test('without anything trained there is no backward part', () => {
    const { adapter: _, ...frozen } = voice(ALL);
    const graph = lossGraph(frozen, 8, 64, 0);
    expect(graph.nodes.map(({ op }) => op).filter((op) => op.endsWith('Backward'))).toEqual([]);
    expect(graph.gradients.size).toBe(0);
  });

  test('behind something without a gradient rule, something trained is refused', () => {
    const graph = new Graph();
    const table = graph.parameter('table', [10, 4]);
    const x = graph.emit('embedding', { ids: graph.input('ids', [3], 'u32'), table }, { scale: 1 }).y;
    const weight = graph.weight('head', { dtype: 'f32', sources: [{ name: 'head', shape: [6, 4] }] });
    const labels = graph.input('labels', [3], 'i32');
    graph.emit('crossEntropyHead', { x, weight, labels }, { withGradient: true, chunkRows: 64 });
    expect(() => graph.backward()).toThrow('embedding has no gradient');
  });
});

describe('dropping what nobody reads', () => {
  test('keeps what leads to outputs, gradients and states, in order', () => {
    const graph = new Graph();
    const x = graph.input('x', [2, 4]);
    const used = graph.map(unary('exp', operand(0)), [x]);
    const unused = graph.map(unary('neg', operand(0)), [used]);
    graph.map(unary('neg', operand(0)), [unused]);
    const y = graph.map(unary('sigmoid', operand(0)), [used]);
    graph.output('y', y);
    const cache = graph.state('cache', [9, 4]);
    graph.emit(
      'scatterRows',
      { x: used, indices: graph.input('rows', [2], 'u32') },
      { offset: 0, width: 4 },
      { into: cache },
    );
    const row = graph.parameter('row', [4]);
    graph.emit('columnSum', { x: used }, {}, { y: graph.gradientOf(row) });
    graph.dropUnused();
    expect(graph.nodes.map(({ op }) => op)).toEqual(['map', 'map', 'scatterRows', 'columnSum']);
    expect(graph.nodes.flatMap(({ outputs }) => tensors(outputs))).not.toContain(unused);
  });

  test('is done once: a second time changes nothing', () => {
    const graph = lossGraph(voice(ALL), 8, 64, 1);
    graph.dropUnused();
    const once = [...graph.nodes];
    graph.dropUnused();
    expect(graph.nodes).toEqual(once);
  });
});

describe('computing blocks again', () => {
  const options = voice(ALL, { num_hidden_layers: 4 });
  const planned = (recompute: number): { graph: Graph; plan: ProgramPlan } => {
    const graph = lossGraph(options, 32, 64, recompute);
    return { graph, plan: ProgramPlan.of(graph, TARGET, Infinity) };
  };

  test('adds the forward part of those blocks, and no tensor of theirs is kept', () => {
    const kept = planned(0);
    const all = planned(4);
    const count = (graph: Graph, op: OpName): number => only(graph, op).length;
    expect(count(kept.graph, 'attention')).toBe(4);
    expect(count(all.graph, 'attention')).toBe(8);
    expect(count(all.graph, 'gatedActivation')).toBe(8);
    // What only the forward pass needs (the last projection, added to the residual) is not made again.
    const down = (graph: Graph): number =>
      only(graph, 'linear').filter(({ inputs }) => inputs.weight.key?.includes('down_proj')).length;
    expect(down(all.graph)).toBe(8);
    // As many gradients, from the same rules.
    for (const op of ['loraGradient', 'linearBackward', 'attentionBackward', 'rmsNormBackward'] as const) {
      expect(count(all.graph, op), op).toBe(count(kept.graph, op));
    }
    expect(all.plan.keptBytes).toBeLessThan(kept.plan.keptBytes);
    expect(all.plan.arenaBytes).toBeLessThan(kept.plan.arenaBytes);
    expect(all.plan.flops).toBeGreaterThan(kept.plan.flops);
  });

  test('more blocks never take more memory', () => {
    const totals = [0, 1, 2, 3, 4].map((recompute) => planned(recompute).plan.totalBytes);
    for (let i = 1; i < totals.length; i++)
      expect(totals[i], `${i} blocks: ${totals.join()}`).toBeLessThanOrEqual(totals[i - 1]!);
  });

  test('backward nodes of a block read its second computation, not its first', () => {
    const { graph } = planned(4);
    const forwardEnd = graph.nodes.findIndex(({ op }) => op === 'crossEntropyHead');
    const first = new Set<Tensor>();
    for (const node of graph.nodes.slice(0, forwardEnd)) {
      if (node.block !== undefined) for (const tensor of tensors(node.outputs)) first.add(tensor);
    }
    // A block's result is the next one's input: that alone is kept.
    const results = new Set(
      only(graph, 'linear')
        .filter(({ inputs }) => inputs.weight.key?.includes('down_proj'))
        .map(({ outputs }) => outputs.y),
    );
    const late = graph.nodes.slice(forwardEnd + 1).flatMap(({ inputs }) => tensors(inputs));
    expect(late.filter((tensor) => first.has(tensor) && !results.has(tensor)).map(({ label }) => label)).toEqual([]);
  });
});

describe('declaring tensors', () => {
  test('the same key gives the same tensor, with another shape an error', () => {
    const graph = new Graph();
    expect(graph.parameter('a', [2, 3])).toBe(graph.parameter('a', [2, 3]));
    expect(() => graph.parameter('a', [3, 2])).toThrow('declared with shape 2x3');
    const spec = { dtype: 'f32', sources: [{ name: 'w', shape: [2, 2] }] } as const;
    expect(graph.weight('w', spec)).toBe(graph.weight('w', spec));
    expect(() => graph.weight('none', { dtype: 'f32', sources: [] })).toThrow('none has no sources');
  });

  test('only what is computed can be an output', () => {
    const graph = new Graph();
    expect(() => graph.output('x', graph.input('x', [1]))).toThrow('must be computed');
  });

  test('a result cannot be written into something smaller', () => {
    const graph = new Graph();
    const x = graph.input('x', [2, 8]);
    const small = graph.gradientOf(graph.parameter('p', [4]));
    expect(() => graph.emit('columnSum', { x }, {}, { y: small })).toThrow('is smaller than the output y');
  });

  test('weights beyond one binding are split at multiples of 64 rows, aligned whatever their dtype', () => {
    for (const dtype of ['f32', 'bf16', 'f16'] as const) {
      const graph = new Graph(10_000);
      const weight = graph.weight('w', {
        dtype,
        sources: [
          { name: 'a', shape: [300, 7] },
          { name: 'b', shape: [77, 7] },
        ],
      });
      expect(weight.shape).toEqual([377, 7]);
      const parts = weight.parts ?? [weight];
      expect(parts.reduce((sum, part) => sum + part.shape[0]!, 0)).toBe(377);
      for (const part of parts) expect(byteSize(part)).toBeLessThanOrEqual(10_000);
      for (const part of parts.slice(0, -1)) expect(part.shape[0]! % 64).toBe(0);
      if (dtype === 'f32') expect(parts.length).toBeGreaterThan(1);
    }
    const graph = new Graph(1000);
    expect(() => graph.weight('wide', { dtype: 'f32', sources: [{ name: 'wide', shape: [100, 100] }] })).toThrow(
      /1000 bytes.*64 rows of wide take 25600/,
    );
  });

  test('ids are never used twice', () => {
    const ids = Array.from({ length: 10 }, () => makeTensor('input', { shape: [1] }).id);
    expect(new Set(ids).size).toBe(10);
  });
});

describe('a program plan', () => {
  test('counts its bytes as the sum of its parts', () => {
    const plan = ProgramPlan.of(lossGraph(voice(ALL), 8, 64, 0), TARGET, Infinity);
    expect(plan.totalBytes).toBe(plan.arenaBytes + plan.ioBytes);
    expect(plan.arenaBytes).toBe(plan.arenas.arenas.reduce((sum, size) => sum + size, 0));
    expect(plan.arenaBytes).toBeGreaterThanOrEqual(plan.arenas.lowerBound);
    // ids, labels, positions: 8 words each; two ranges of 16.
    expect([...plan.inputs.values()].reduce((sum, { size }) => sum + size, 0)).toBe(4 * (3 * 8 + 2 * 16));
    for (const { offset } of plan.inputs.values()) expect(offset % 256).toBe(0);
    expect(plan.keptBytes).toBeLessThanOrEqual(plan.arenas.lowerBound);
    for (const { paramsOffset } of plan.dispatches) expect(paramsOffset % 256).toBe(0);
  });

  test('equal parameters are stored once', () => {
    const plan = ProgramPlan.of(lossGraph(voice(ALL, { num_hidden_layers: 4 }), 8, 64, 0), TARGET, Infinity);
    const blocks = plan.paramsBytes / 256;
    expect(blocks).toBeLessThan(plan.dispatches.length / 2);
  });

  test('a forbidden size is refused before anything is allocated', () => {
    expect(() => ProgramPlan.of(lossGraph(voice(ALL), 4096, 64, 0), TARGET, 2 ** 18)).toThrow(
      /the graphics device allows 262144/,
    );
  });
});

test('a table without one of the ops does not compile', () => {
  const { lstm, ...others } = OPERATIONS;
  // @ts-expect-error -- tsc reads the tests as well: lstm is missing
  const incomplete: OpTable = others;
  expect({ ...incomplete, lstm }).toEqual(OPERATIONS);
});
