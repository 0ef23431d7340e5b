import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Adapter } from '../../../src/adapters/peft.ts';
import type { Device } from '../../../src/engine/device.ts';
import { Program } from '../../../src/engine/program.ts';
import { IDLE_STEP } from '../../../src/engine/wgsl.ts';
import { makeBatch } from '../../../src/tasks/voice/examples.ts';
import { TextGenerator, generationPlans } from '../../../src/tasks/voice/text-generator.ts';
import { generationHook } from '../../../src/tasks/adapter-slot.ts';
import { logitsGraph } from '../../../src/tasks/voice/graphs.ts';
import { padRow } from '../../../src/tasks/voice/packing.ts';
import { VoiceModel } from '../../../src/tasks/voice/model.ts';
import type { ConfigJson } from '../../support/tiny.ts';
import { FIXTURES } from '../../support/disk-folder.ts';
import { Random } from '../../support/matmul.ts';
import {
  FAMILIES,
  familyDevice,
  quickRecipe,
  randomExamples,
  relativeError,
  tinyFolder,
  trained,
  withModel,
} from './support.ts';
import { seeded } from '../../support/seeds.ts';
import type { Draw } from '../../support/seeds.ts';

const VOCABULARY = 61;
const LONG = { max_position_embeddings: 512, model_type: 'qwen3' };

/** The logits of every position at once, without a cache. */
async function atOnce(model: VoiceModel, ids: Uint32Array<ArrayBuffer>, strength: number): Promise<Float32Array> {
  const { device } = model.base;
  const graph = logitsGraph(model.base.graphOptions(model.hook), ids.length);
  const adapter = model.adapterBuffers;
  const program = await Program.build(device, model.base.planOf(graph), {
    weights: model.base,
    ...(adapter && { adapter }),
  });
  try {
    const row = padRow({ inputIds: ids, labels: new Int32Array(ids.length) }, { maxLength: ids.length });
    const { ids: tokens, positions, keyRanges } = makeBatch([row], 1, ids.length).inputs;
    const outputs = await program.run(
      { ids: tokens!, positions: positions!, keyRanges: keyRanges! },
      { ...IDLE_STEP, strength },
    );
    return outputs['logits']!;
  } finally {
    program.destroy();
  }
}

async function someAdapter({ seed }: Draw, model: VoiceModel): Promise<Adapter> {
  const run = await trained(model, { examples: randomExamples(seed), recipe: quickRecipe({ max_steps: 2 }) });
  expect(run.error).toBeUndefined();
  return run.adapter;
}

const withGenerator = async <R>(model: VoiceModel, body: (generator: TextGenerator) => Promise<R>): Promise<R> => {
  const generator = new TextGenerator(model.base, model.adapter);
  try {
    return await body(generator);
  } finally {
    generator.destroy();
  }
};

describe.each(FAMILIES)('the key/value cache, %s family', (family) => {
  seeded('prompts of any length, in pieces and token by token, give the logits of the whole', async (draw) => {
    const { seed, note } = draw;
    const device = await familyDevice(family);
    await withModel(device, tinyFolder({ seed, config: LONG }), async (model) => {
      await model.useAdapter(await someAdapter(draw, model));
      const random = new Random(seed);
      const ids = Uint32Array.from({ length: 300 }, () => random.int(0, VOCABULARY - 1));
      const whole = await atOnce(model, ids, 1);
      const last = (count: number) => whole.subarray((count - 1) * VOCABULARY, count * VOCABULARY);
      await withGenerator(model, async (generator) => {
        await generator.reserve(300);
        // The same sums of at most 36 products in another order, through two blocks whose norms keep activations near 1: an error of some
        // roundings of 2^-24 grows by the number of ops at most, about thirty. 61 logits do not all cancel.
        for (const count of [1, 2, 16, 17, 65, 257, 300]) {
          const logits = await generator.read(ids.subarray(0, count), 0, 1);
          expect(relativeError(logits, last(count)), `${note}, ${count} tokens`).toBeLessThan(1e-5);
        }
        // A prompt, then single tokens: the earlier and longer content of the cache is not seen.
        let logits = await generator.read(ids.subarray(0, 5), 0, 1);
        for (let at = 5; at < 12; at++) {
          expect(relativeError(logits, last(at)), `${note}, at ${at}`).toBeLessThan(1e-5);
          logits = await generator.read([ids[at]!], at, 1);
        }
        // More room: what was held is read anew.
        await generator.reserve(600);
        expect(relativeError(await generator.read(ids.subarray(0, 40), 0, 1), last(40)), note).toBeLessThan(1e-5);
      });
    });
  });

  seeded('an adapter at strength 0 is the base, at ½ half of it', async (draw) => {
    const { seed, note } = draw;
    const device = await familyDevice(family);
    await withModel(device, tinyFolder({ seed, config: LONG }), async (model) => {
      const ids = Uint32Array.of(3, 1, 4, 1, 5, 9, 2, 6);
      const lastOf = async (strength: number) => (await atOnce(model, ids, strength)).slice(-VOCABULARY);
      const base = await lastOf(1);
      const adapter = await someAdapter(draw, model);
      const cached = (strength: number) =>
        withGenerator(model, async (generator) => {
          await generator.reserve(16);
          return generator.read(ids, 0, strength);
        });
      await model.useAdapter(adapter);
      expect(relativeError(await cached(0), base), note).toBeLessThan(1e-5);
      const full = await lastOf(1);
      expect(relativeError(full, base), note).toBeGreaterThan(1e-3);
      const half = await cached(0.5);
      // Half the strength is half of lora_alpha.
      await model.useAdapter({ ...adapter, config: { ...adapter.config, lora_alpha: adapter.config.lora_alpha / 2 } });
      expect(relativeError(half, await lastOf(1)), note).toBeLessThan(1e-5);
    });
  });

  seeded('DoRA at strength 0 is the base, too', async (draw) => {
    const { seed, note } = draw;
    const device = await familyDevice(family);
    await withModel(device, tinyFolder({ seed, config: LONG }), async (model) => {
      const ids = Uint32Array.of(3, 1, 4, 1, 5, 9, 2, 6);
      const base = await atOnce(model, ids, 1);
      const options = { examples: randomExamples(seed), recipe: quickRecipe({ max_steps: 2 }) };
      const { config } = await someAdapter(draw, model);
      await trained(model, { ...options, adapter: { ...config, use_dora: true } });
      expect(relativeError(await atOnce(model, ids, 0), base), note).toBeLessThan(1e-5);
      expect(relativeError(await atOnce(model, ids, 1), base), note).toBeGreaterThan(1e-3);
    });
  });
});

describe('samples along the way', () => {
  // Whether other words are drawn is a matter of chance: a model that is always the same.
  const seed = 1;
  const base = join(FIXTURES, 'llama-gqa/base');
  const files = new Map(
    ['tokenizer.json', 'tokenizer_config.json'].map((name) => [name, new Uint8Array(readFileSync(join(base, name)))]),
  );
  const { vocab_size } = JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as ConfigJson;
  const load = (device: Device) =>
    VoiceModel.load(device, tinyFolder({ seed, config: { vocab_size, max_position_embeddings: 128 }, files }));

  test('are planned to the byte, change with training, and leave it as it is', async () => {
    const device = await familyDevice('cpu');
    const model = await load(device);
    try {
      const options = {
        examples: randomExamples(seed),
        recipe: quickRecipe({ max_steps: 4, sample_steps: 2, learning_rate: 0.1 }),
        samplePrompts: ['a', 'b b b b'],
      };
      const quiet = await trained(model, { ...options, samplePrompts: [] });
      const lora = quiet.adapter.config;
      const planned = await model.plan({ ...options, adapter: lora });
      const without = await model.plan({ ...options, adapter: lora, samplePrompts: [] });
      await model.useAdapter(null);
      // Programs take turns in the run's arenas: of their own they have what goes in and out, and the caches.
      const hook = generationHook(model.base.layout(model.base.targets(lora), lora, true));
      const lengths = options.samplePrompts.map((prompt) => ({
        prompt: model.tokenizer.encodePrompt([{ role: 'user', content: prompt }]).length,
        reply: 48,
      }));
      const { plans, cacheBytes } = generationPlans(model.base, hook, lengths);
      expect(planned.sampleBytes).toBe(plans.reduce((sum, { ioBytes }) => sum + ioBytes, cacheBytes));
      const ownArenas = plans.reduce((sum, { arenaBytes }) => sum + arenaBytes, 0);
      expect(planned.totalBytes - without.totalBytes).toBeLessThan(planned.sampleBytes + ownArenas);
      const held = new Set<number>();
      const run = await trained(model, options, (event) => {
        if (event.type === 'ready') device.resetPeak();
        held.add(device.allocatedBytes).add(device.peakBytes);
      });
      expect(run.error).toBeUndefined();
      expect(held).toEqual(new Set([planned.totalBytes]));
      expect(run.checkpoint).toEqual(quiet.checkpoint);
      const samples = run.events.filter((event) => event.type === 'sample');
      expect(samples.map(({ step, prompt }) => [step, prompt])).toEqual(
        [0, 2, 4].flatMap((step) => options.samplePrompts.map((prompt) => [step, prompt])),
      );
      for (const { step, base: untrained, tuned } of samples) {
        if (step === 0) expect(tuned).toBe(untrained);
      }
      expect(samples.some(({ step, base: untrained, tuned }) => step === 4 && tuned !== untrained)).toBe(true);
    } finally {
      model.destroy();
    }
  });

  test('a reply is the same for the same seed, and ends where the base’s context does', async () => {
    const device = await familyDevice('cpu');
    const model = await load(device);
    try {
      const say = async (fields: object): Promise<number[]> => {
        const ids: number[] = [];
        const request = { prompt: 'a', max_new_tokens: 20, do_sample: true, temperature: 1.5, ...fields };
        for await (const chunk of model.generate(request)) ids.push(...chunk.tokenIds);
        return ids;
      };
      expect(await say({ seed: 1 })).toEqual(await say({ seed: 1 }));
      expect(await say({ seed: 1 })).not.toEqual(await say({ seed: 2 }));
      expect((await say({ max_new_tokens: 1000, temperature: 5 })).length).toBeLessThan(128);
      const stop = new AbortController();
      stop.abort();
      await expect(say({ signal: stop.signal })).rejects.toMatchObject({ name: 'AbortError' });
    } finally {
      model.destroy();
    }
  });
});
