import { describe, expect } from 'vitest';
import { Graph } from '../../../src/engine/graph.ts';
import type { KernelFamily } from '../../../src/engine/kernels/kernel.ts';
import { loraSegments } from '../../../src/engine/kernels/lora_segments.ts';
import type { DType } from '../../../src/engine/tensor.ts';
import { MemoryFolder } from '../../../src/models/files/folder.ts';
import { writeSafetensors } from '../../../src/models/files/safetensors.ts';
import { runComponent } from '../../../src/tasks/voice/component.ts';
import {
  FAMILIES,
  familyDevice,
  quickRecipe,
  randomExamples,
  relativeError,
  runGraph,
  tinyFolder,
  trained,
  withModel,
} from './support.ts';
import { seeded } from '../../support/seeds.ts';
import type { Draw } from '../../support/seeds.ts';

describe.each(FAMILIES)('weights in several bindings, %s family', (family) => {
  seeded.each([
    ['f32', 20],
    ['bf16', 20],
    ['f16', 7],
  ] as const)(
    'a LoRA group whose segments cross the border of a shard, %s, %i columns',
    async ({ random, note }, [dtype, k]) => {
      const rows = 9;
      const layers = [
        { columns: 50, rank: 3, scale: 0.5 },
        { columns: 60, rank: 0, scale: 1 },
        { columns: 77, rank: 5, scale: 2 },
      ];
      const n = 187;
      const segments = loraSegments(layers);
      const inputs = {
        x: random.normal(rows * k),
        residual: random.normal(rows * n),
        dy: random.normal(rows * n),
        add: random.normal(rows * k),
      };
      const weights = { w: random.normal(n * k), bias: random.normal(n) };
      const parameters = { a: random.normal(8 * k), b: random.normal(50 * 3 + 77 * 5) };
      const run = async (maxBinding: number) => {
        const graph = new Graph(maxBinding);
        const weight = graph.weight('w', { dtype, sources: [{ name: 'w', shape: [n, k] }] });
        expect(weight.parts?.length ?? 1).toBe(maxBinding === Infinity ? 1 : 3);
        const x = graph.input('x', [rows, k]);
        const a = graph.parameter('a', [8, k]);
        const given = {
          x,
          weight,
          a,
          b: graph.parameter('b', [50 * 3 + 77 * 5]),
          bias: graph.weight('bias', { dtype: 'f32', sources: [{ name: 'bias', shape: [n] }] }),
          residual: graph.input('residual', [rows, n]),
        };
        graph.output('y', graph.emit('linear', given, { segments }).y);
        const dy = graph.input('dy', [rows, n]);
        const { g } = graph.emit('loraUpBackward', { dy, b: given.b }, { segments });
        graph.output(
          'dx',
          graph.emit('linearBackward', { dy, weight, g, a, residual: graph.input('add', [rows, k]) }, {}).dx,
        );
        return (await runGraph(await familyDevice(family), graph, { inputs, weights, parameters })).outputs;
      };
      const whole = await run(Infinity);
      const sharded = await run(64 * k * (dtype === 'f32' ? 4 : 2) + 100);
      // Sums of at most 20 products, 187 for dx, and a LoRA's of 77, over more than a hundred outputs, which do not all cancel: the same
      // terms in another order differ by some roundings of 2^-24.
      expect(relativeError(sharded['y']!, whole['y']!), note).toBeLessThan(1e-6);
      expect(relativeError(sharded['dx']!, whole['dx']!), note).toBeLessThan(1e-6);

      // And the whole one is right: y in float64, W as it is stored.
      if (dtype !== 'f32') return;
      const expected = new Float64Array(rows * n);
      for (let t = 0; t < rows; t++) {
        let column = 0;
        for (const { columns, rank, scale, hOffset, bOffset } of segments) {
          for (let c = 0; c < columns; c++, column++) {
            let sum = weights.bias[column]! + inputs.residual[t * n + column]!;
            for (let i = 0; i < k; i++) sum += weights.w[column * k + i]! * inputs.x[t * k + i]!;
            for (let j = 0; j < rank; j++) {
              let h = 0;
              for (let i = 0; i < k; i++) h += parameters.a[(hOffset + j) * k + i]! * inputs.x[t * k + i]!;
              sum += scale * h * parameters.b[bOffset + c * rank + j]!;
            }
            expected[t * n + column] = sum;
          }
        }
      }
      expect(relativeError(sharded['y']!, expected), note).toBeLessThan(2e-6);
    },
  );

  seeded.each(['f32', 'bf16', 'f16'] as const satisfies readonly DType[])(
    'an embedding, %s: every token finds its row',
    async ({ random, note }, dtype) => {
      const [rows, width, table] = [80, 10, 300];
      const ids = Uint32Array.from({ length: rows }, (_, t) =>
        t < 4 ? [0, 63, 64, 299][t]! : random.int(0, table - 1),
      );
      const w = Float32Array.from({ length: table * width }, () => random.int(-100, 100) / 64);
      const run = async (maxBinding: number) => {
        const graph = new Graph(maxBinding);
        const weight = graph.weight('w', { dtype, sources: [{ name: 'w', shape: [table, width] }] });
        graph.output(
          'y',
          graph.emit('embedding', { ids: graph.input('ids', [rows], 'u32'), table: weight }, { scale: 1 }).y,
        );
        return (await runGraph(await familyDevice(family), graph, { inputs: { ids }, weights: { w } })).outputs['y']!;
      };
      const expected = Float32Array.from(
        { length: rows * width },
        (_, i) => w[ids[Math.floor(i / width)]! * width + (i % width)]!,
      );
      expect(await run(Infinity), note).toEqual(expected);
      expect(await run(64 * width * 4 - 4 * (dtype === 'f32' ? 0 : width)), note).toEqual(expected);
    },
  );
});

/** Sizes at which 40 kB a binding splits q, o, the feed-forward layers, the embedding and the head. */
const CONFIG = { hidden_size: 128, intermediate_size: 96, head_dim: 32, vocab_size: 150 };

async function resultsWith({ seed }: Draw, family: KernelFamily, maxBinding: number | undefined) {
  const device = await familyDevice(family);
  const { limits } = device.info;
  const own = limits['maxStorageBufferBindingSize']!;
  try {
    limits['maxStorageBufferBindingSize'] = maxBinding ?? own;
    return await withModel(device, tinyFolder({ seed, config: CONFIG, dtype: 'F32' }), async (model) => {
      const examples = randomExamples(seed, { length: 8, vocabulary: 150, rows: 4 });
      const [sequence] = examples.training;
      const batch = new MemoryFolder(
        'batch',
        new Map([
          [
            'batch.safetensors',
            writeSafetensors([
              { name: 'input_ids', dtype: 'I64', shape: [1, 8], data: BigInt64Array.from(sequence!.inputIds, BigInt) },
              {
                name: 'attention_mask',
                dtype: 'I64',
                shape: [1, 8],
                data: BigInt64Array.from({ length: 8 }, (_, t) => BigInt(t < sequence!.tokens)),
              },
            ]),
          ],
        ]),
      );
      const [logits] = await runComponent(model, 'model', batch, 'batch.safetensors');
      // So large an epsilon makes AdamW's step proportional to the gradient: rounding stays what it is.
      const recipe = quickRecipe({ max_steps: family === 'gpu' ? 1 : 3, learning_rate: 0.1, adam_epsilon: 1 });
      const run = await trained(model, { examples, recipe });
      expect(run.error).toBeUndefined();
      return {
        logits: (logits!.data as Float32Array).slice(0, sequence!.tokens * 150),
        losses: run.losses,
        adapter: run.adapter,
      };
    });
  } finally {
    limits['maxStorageBufferBindingSize'] = own;
  }
}

seeded.each(FAMILIES)(
  'a whole model whose layers are all split trains as it does unsplit, %s family',
  async (draw, family) => {
    const { note } = draw;
    const whole = await resultsWith(draw, family, undefined);
    const split = await resultsWith(draw, family, 40_960);
    expect(relativeError(split.logits, whole.logits), note).toBeLessThan(2e-6);
    split.losses.forEach((loss, i) => expect(Math.abs(loss / whole.losses[i]! - 1), note).toBeLessThan(1e-5));
    for (const [name, tensors] of whole.adapter.tensors) {
      const other = split.adapter.tensors.get(name)!;
      // B began at zero: it is nothing but what was learnt.
      expect(Math.hypot(...tensors.B), `${note}, ${name}`).toBeGreaterThan(0);
      expect(relativeError(other.B, tensors.B), `${note}, ${name}`).toBeLessThan(1e-4);
      expect(relativeError(other.A, tensors.A), `${note}, ${name}`).toBeLessThan(1e-5);
    }
  },
);
