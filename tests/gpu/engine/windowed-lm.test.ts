import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Adapter } from '../../../src/adapters/peft.ts';
import { readPeftFolder } from '../../../src/adapters/peft.ts';
import { parseLoraConfig } from '../../../src/adapters/lora-config.ts';
import type { Device } from '../../../src/engine/device.ts';
import { CAUSAL_LMS } from '../../../src/models/causal-lm/registry.ts';
import { Checkpoint } from '../../../src/models/files/checkpoint.ts';
import { ConfigReader } from '../../../src/models/files/config-reader.ts';
import { MemoryFolder } from '../../../src/models/files/folder.ts';
import { writeSafetensors } from '../../../src/models/files/safetensors.ts';
import { runComponent } from '../../../src/tasks/voice/component.ts';
import type { Examples } from '../../../src/tasks/voice/examples.ts';
import { peftFolder } from '../../../src/tasks/adapted-model.ts';
import { VoiceModel } from '../../../src/tasks/voice/model.ts';
import { packRows } from '../../../src/tasks/voice/packing.ts';
import { TextGenerator } from '../../../src/tasks/voice/text-generator.ts';
import { FIXTURES } from '../../support/disk-folder.ts';
import type { Draw } from '../../support/seeds.ts';
import { drawOf } from '../../support/seeds.ts';
import { WINDOWED, parseWindowed, storedNorms, windowed } from '../../support/windowed-lm.ts';
import type { Weights } from '../../support/windowed-reference.ts';
import { windowedLogits, windowedLoss } from '../../support/windowed-reference.ts';
import { FAMILIES, familyDevice, quickRecipe, relativeError, tinyFolder, trained } from './support.ts';

/**
 * How far float32 may be from float64 after a whole model is no theorem: a small sum of large numbers may err by any share of
 * itself. So seeds are written.
 */
const SEEDS = [1, 2];
/** The registry with one line more. */
const known = { ...CAUSAL_LMS, windowed };
const LORA = parseLoraConfig({ r: 2, lora_alpha: 3, target_modules: 'all-linear' });

const ids = (random: Draw['random'], count: number, vocabulary = 29): Uint32Array<ArrayBuffer> =>
  Uint32Array.from({ length: count }, () => random.int(0, vocabulary - 1));

async function load(seed: number, device: Device, fields = {}, files?: ReadonlyMap<string, Uint8Array<ArrayBuffer>>) {
  const json = { ...WINDOWED, ...fields };
  const config = parseWindowed(new ConfigReader(json, 'config.json'));
  const folder = tinyFolder({ seed, config: json, known, more: storedNorms(config), ...(files && { files }) });
  const model = await VoiceModel.load(device, folder, { known });
  const checkpoint = await Checkpoint.open(folder);
  const weights = new Map<string, Float32Array>();
  for (const name of checkpoint.tensors.keys()) weights.set(name, await checkpoint.readFloats(name));
  return { model, config, weights };
}

/** An adapter of which no part is zero. */
function someAdapter({ random }: Draw, model: VoiceModel): Adapter {
  const tensors = new Map(
    model.base.targets(LORA).map(({ name, r, inFeatures, outFeatures }) => {
      const [A, B] = [random.normal(r * inFeatures), random.normal(outFeatures * r)];
      return [name, { A: A.map((v) => 0.3 * v), B: B.map((v) => 0.3 * v), r, inFeatures, outFeatures }] as const;
    }),
  );
  return { config: LORA, tensors };
}

const wideAdapter = ({ tensors }: Adapter) =>
  new Map([...tensors].map(([name, { A, B, r }]) => [name, { A: Float64Array.from(A), B: Float64Array.from(B), r }]));

const SCALE = LORA.lora_alpha / LORA.r;

describe.each(FAMILIES)('a language model of another block, %s family', (family) => {
  test('says what it has: its own modules, its own targets', async () => {
    const { model } = await load(1, await familyDevice(family));
    try {
      expect(model.info).toMatchObject({ modelType: 'windowed', layers: 3, hiddenSize: 16, contextLength: 512 });
      expect(model.info.targetModules).toEqual(['qkv_proj', 'out_proj', 'gate_up_proj', 'out']);
      expect(model.base.modules.map(({ name, kind }) => [name, kind])).toEqual([
        ['transformer.wte', 'embedding'],
        ...[0, 1, 2].flatMap((layer) =>
          ['attention.qkv_proj', 'attention.out_proj', 'mlp.gate_up_proj', 'mlp.out'].map((part) => [
            `transformer.h.${layer}.${part}`,
            undefined,
          ]),
        ),
        ['classifier', 'output'],
      ]);
      expect(() => model.base.targets(parseLoraConfig({ r: 2, target_modules: ['classifier'] }))).toThrow(/classifier/);
    } finally {
      model.destroy();
    }
  });

  test.each(SEEDS)(
    'gives the logits that float64 gives, at once and token by token from its cache, with its adapter: seed %i',
    async (seed) => {
      const draw = drawOf(seed);
      const { random } = draw;
      const { model, config, weights } = await load(draw.seed, await familyDevice(family));
      try {
        const adapter = someAdapter(draw, model);
        await model.useAdapter(adapter);
        const row = ids(random, 40);
        const expected = windowedLogits({ config, weights, adapter: wideAdapter(adapter), scale: SCALE }, row);
        const file = writeSafetensors([
          { name: 'input_ids', dtype: 'I64', shape: [1, row.length], data: Int32Array.from(row) },
          { name: 'attention_mask', dtype: 'I64', shape: [1, row.length], data: new Int32Array(row.length).fill(1) },
        ]);
        const folder = new MemoryFolder('rows', new Map([['batch.safetensors', file]]));
        const [logits] = await runComponent(model, 'model', folder, 'batch.safetensors');
        const all = Float64Array.from(expected.flatMap((values) => [...values]));
        expect(relativeError(logits!.data as Float32Array, all)).toBeLessThan(2e-5);

        const generator = new TextGenerator(model.base, model.adapter);
        try {
          await generator.reserve(row.length);
          // Pieces of 1, 16 and 64 tokens, then one at a time: each window reaches back into the cache.
          for (const count of [1, 7, 18, 40]) {
            const got = await generator.read(row.subarray(0, count), 0, 1);
            expect(relativeError(got, expected[count - 1]!), `${count} tokens`).toBeLessThan(2e-5);
          }
          await generator.read(row.subarray(0, 5), 0, 1);
          for (let at = 5; at < 20; at++) {
            const got = await generator.read([row[at]!], at, 1);
            expect(relativeError(got, expected[at]!), `at ${at}`).toBeLessThan(2e-5);
          }
        } finally {
          generator.destroy();
        }
      } finally {
        model.destroy();
      }
    },
  );

  test.each(SEEDS)(
    'is trained: loss and every gradient of packed rows are those of float64, blocks computed again or not: seed %i',
    async (seed) => {
      const draw = drawOf(seed);
      const { random } = draw;
      const { model, config, weights } = await load(draw.seed, await familyDevice(family));
      try {
        const rows = [ids(random, 11), ids(random, 8), ids(random, 13)];
        const packed = packRows(
          rows.map((row) => ({ inputIds: row, labels: Int32Array.from(row) })),
          { maxLength: 20 },
        );
        expect(Math.max(...packed.sequences.map(({ segments }) => segments.length))).toBe(2);
        const examples: Examples = {
          length: 20,
          training: packed.sequences,
          heldOut: [],
          report: packed.report,
          prepared: true,
        };
        const recipe = quickRecipe({ max_steps: 1, per_device_train_batch_size: packed.sequences.length });
        const from = someAdapter(draw, model);
        const run = (memoryBudget?: number) =>
          trained(model, { examples, recipe, from, ...(memoryBudget !== undefined && { memoryBudget }) });
        const kept = await run();
        expect(kept.error).toBeUndefined();
        const gradients = await model.currentGradients();
        const again = await run(1);
        const ready = again.events.find((event) => event.type === 'ready')!;
        expect(ready).toMatchObject({ plan: { recomputedBlocks: config.layers } });
        expect(again.checkpoint).toEqual(kept.checkpoint);

        const adapter = wideAdapter(from);
        const reference: Weights = { config, weights, adapter, scale: SCALE };
        expect(Math.abs(kept.losses[0]! / windowedLoss(reference, rows) - 1)).toBeLessThan(1e-5);
        expect([...gradients.keys()]).toEqual([...from.tensors.keys()]);
        for (const [name, lora] of adapter) {
          for (const part of ['A', 'B'] as const) {
            const values = lora[part];
            const gradient = gradients.get(name)![part];
            const size = Math.hypot(...gradient);
            expect(size, `${name} ${part}`).toBeGreaterThan(0);
            // The slope along directions of length 1: it errs by no more than the gradient does.
            for (let i = 0; i < 3; i++) {
              const drawn = random.normal(values.length);
              const length = Math.hypot(...drawn);
              const at = (step: number): number => {
                const moved = values.map((value, k) => value + (step * drawn[k]!) / length);
                const other = new Map(adapter).set(name, { ...lora, [part]: moved });
                return windowedLoss({ ...reference, adapter: other }, rows);
              };
              const slope = (at(1e-4) - at(-1e-4)) / 2e-4;
              const found = gradient.reduce((sum, value, k) => sum + (value * drawn[k]!) / length, 0);
              expect(Math.abs(found - slope) / size, `${name} ${part}`).toBeLessThan(1e-4);
            }
          }
        }
      } finally {
        model.destroy();
      }
    },
  );
});

test.each(SEEDS)(
  'with samples along the way it takes the bytes that were planned, and says what float64 finds likeliest: seed %i',
  async (seed) => {
    const draw = drawOf(seed);
    const { random } = draw;
    const base = join(FIXTURES, 'llama-gqa/base');
    const files = new Map(
      ['tokenizer.json', 'tokenizer_config.json'].map((name) => [name, new Uint8Array(readFileSync(join(base, name)))]),
    );
    const { vocab_size } = JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as { vocab_size: number };
    const device = await familyDevice('cpu');
    const { model, config, weights } = await load(draw.seed, device, { vocab_size, num_hidden_layers: 2 }, files);
    try {
      const rows = [ids(random, 12, vocab_size), ids(random, 9, vocab_size)].map((row) => ({
        inputIds: row,
        labels: Int32Array.from(row),
      }));
      const { sequences, report } = packRows(rows, { maxLength: 12 });
      const examples: Examples = { length: 12, training: sequences, heldOut: [], report, prepared: true };
      const recipe = quickRecipe({ max_steps: 2, sample_steps: 1, learning_rate: 0.1 });
      const options = { examples, recipe, adapter: LORA, samplePrompts: ['a b', 'b'] };
      const planned = await model.plan(options);
      const held = new Set<number>();
      const run = await trained(model, options, (event) => {
        if (event.type === 'ready') device.resetPeak();
        held.add(device.allocatedBytes).add(device.peakBytes);
      });
      expect(run.error).toBeUndefined();
      expect(held).toEqual(new Set([planned.totalBytes]));

      const adapter = await model.currentAdapter();
      const prompt = [...model.tokenizer.encode('a b')];
      const said: number[] = [];
      for await (const { tokenIds } of model.generate({ prompt: 'a b', max_new_tokens: 12, do_sample: false }))
        said.push(...tokenIds);
      expect(said.length).toBeGreaterThan(0);
      const logits = windowedLogits({ config, weights, adapter: wideAdapter(adapter), scale: SCALE }, [
        ...prompt,
        ...said,
      ]);
      said.forEach((id, i) => {
        const each = logits[prompt.length - 1 + i]!;
        // Two that are as likely as rounding can tell may change places.
        expect(Math.max(...each) - each[id]!, `token ${i}`).toBeLessThan(1e-3);
      });
      // It goes the way of all adapters.
      const exported = await readPeftFolder(new MemoryFolder('adapter', peftFolder(adapter, 'windowed')));
      expect(exported.tensors).toEqual(adapter.tensors);
    } finally {
      model.destroy();
    }
  },
);

test('a tensor that a table is made of is asked for by name where it is missing or of another shape', async () => {
  const device = await familyDevice('cpu');
  const config = { ...WINDOWED };
  const more = storedNorms(parseWindowed(new ConfigReader(config, 'config.json')));
  const broken = (names: typeof more) =>
    VoiceModel.load(device, tinyFolder({ seed: 1, config, known, more: names }), { known });
  await expect(broken(more.slice(1))).rejects.toThrow(/h\.0\.attention\.q_norm\.weight/);
  await expect(broken(more.map(({ name }) => ({ name, shape: [3] })))).rejects.toThrow(/q_norm.*\[3\]/);
  expect(device.allocatedBytes).toBe(0);
});
