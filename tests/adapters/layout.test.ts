import { describe, expect, test } from 'vitest';
import { parseLoraConfig, resolveTargets } from '../../src/adapters/lora-config.ts';
import { LoraLayout } from '../../src/adapters/layout.ts';
import type { LoraTensors } from '../../src/adapters/peft.ts';
import { FlatLayout } from '../../src/engine/adapter-buffers.ts';
import { UserError } from '../../src/common/errors.ts';
import { causalLmModules } from '../../src/models/causal-lm/causal-lm.ts';
import { parseCausalLm } from '../../src/models/causal-lm/registry.ts';
import { logitsGraph } from '../../src/tasks/voice/graphs.ts';
import { Random } from '../support/matmul.ts';
import { TINY } from '../support/tiny.ts';
import type { ConfigJson } from '../support/tiny.ts';
import { seeded } from '../support/seeds.ts';

/** Sizes whose projections may be stacked: multiples of 64 elements. */
const STACKING: ConfigJson = { hidden_size: 64, intermediate_size: 128, head_dim: 16 };

function traced(lora: ConfigJson, config: ConfigJson = STACKING) {
  const lm = parseCausalLm({ ...TINY, ...config });
  const loraConfig = parseLoraConfig(lora);
  const targets = resolveTargets(loraConfig, causalLmModules(lm));
  const layout = new LoraLayout(targets, loraConfig, true);
  logitsGraph({ lm, dtypeOf: () => 'f32', maxBinding: Infinity, adapter: layout }, 1);
  return { layout, targets, loraConfig };
}

function randomTensors(random: Random, { targets, loraConfig }: ReturnType<typeof traced>): Map<string, LoraTensors> {
  return new Map(
    targets.map(({ name, r, inFeatures, outFeatures }) => [
      name,
      {
        A: random.normal(r * inFeatures),
        B: random.normal(outFeatures * r),
        ...(loraConfig.use_dora && { magnitude: random.normal(outFeatures) }),
        r,
        inFeatures,
        outFeatures,
      },
    ]),
  );
}

const CASES: [string, ConfigJson, ConfigJson?][] = [
  ['every projection, stacked', { r: 4, target_modules: 'all-linear' }],
  ['odd sizes, nothing stacked', { r: 3, target_modules: 'all-linear' }, {}],
  ['q and v alone', { r: 5, target_modules: ['q_proj', 'v_proj'] }],
  [
    'ranks of their own',
    { r: 4, target_modules: 'all-linear', rank_pattern: { k_proj: 1, 'layers.1.mlp.up_proj': 9 } },
  ],
  ['one layer of several', { r: 2, target_modules: ['gate_proj', 'o_proj'], layers_to_transform: [1] }],
  ['DoRA', { r: 4, target_modules: 'all-linear', use_dora: true }],
  ['dropout', { r: 4, target_modules: ['q_proj', 'k_proj'], lora_dropout: 0.1 }],
];

describe('flat ranges', () => {
  test('begin where a binding may, without overlap, and are asked for by name', () => {
    const layout = new FlatLayout();
    for (const [key, length] of [
      ['a', 1],
      ['b', 64],
      ['c', 65],
      ['d', 0],
      ['e', 200],
    ] as const)
      layout.add(key, length);
    const ranges = [...layout.ranges.values()];
    expect(ranges.map(({ offset }) => offset)).toEqual([0, 64, 128, 256, 256]);
    expect(layout.length).toBe(512);
    expect(() => layout.add('a', 1)).toThrow('a is laid out twice');
  });
});

describe.each(CASES)('the adapter in its flat buffers: %s', (_, lora, config) => {
  seeded('what is packed comes out again, and gaps stay zero', ({ random }) => {
    const made = traced(lora, config);
    const { layout, targets } = made;
    const tensors = randomTensors(random, made);
    const flat = layout.pack(tensors);
    expect(flat.length).toBe(layout.flat.length);
    expect(layout.unpack(flat)).toEqual(tensors);
    const sizes = [...tensors.values()].map(({ A, B, magnitude }) => A.length + B.length + (magnitude?.length ?? 0));
    expect(layout.parameterCount).toBe(sizes.reduce((a, b) => a + b));
    // Not of what is 0 by itself, which random numbers are one in four thousand million times.
    const filled = (values: Float32Array): number => values.filter((value) => value !== 0).length;
    const given = [...tensors.values()].flatMap(({ A, B, magnitude }) => [A, B, ...(magnitude ? [magnitude] : [])]);
    expect(filled(flat)).toBe(given.reduce((sum, values) => sum + filled(values), 0));
    expect(new Set(layout.modules)).toEqual(new Set(targets.map(({ name }) => name)));
  });

  seeded('the order of a checkpoint is that of the tensors, with nothing between', ({ random }) => {
    const made = traced(lora, config);
    const { layout } = made;
    const tensors = randomTensors(random, made);
    const flat = layout.pack(tensors);
    const ordered = layout.toTensorOrder(flat);
    expect(ordered.length).toBe(layout.parameterCount);
    expect(layout.fromTensorOrder(ordered)).toEqual(flat);
    let at = 0;
    for (const { name, shape } of layout.tensors) {
      const [, module, part] = /^base_model\.model\.(.+)\.lora_(A|B|magnitude_vector)/.exec(name)!;
      const { A, B, magnitude } = tensors.get(module!)!;
      const values = part === 'A' ? A : part === 'B' ? B : magnitude!;
      const size = shape.reduce((a, b) => a * b);
      expect(size).toBe(values.length);
      expect(ordered.slice(at, at + size)).toEqual(values);
      at += size;
    }
    expect(at).toBe(ordered.length);
  });
});

describe('groups', () => {
  test('projections computed together have their A’s one below the other, in the order of the projections', () => {
    const made = traced({ r: 4, target_modules: ['q_proj', 'v_proj'], rank_pattern: { v_proj: 2 } });
    const { layout } = made;
    expect(layout.grouped).toBe(true);
    const prefix = 'model.layers.0.self_attn';
    const key = ['q_proj', 'k_proj', 'v_proj'].map((name) => `${prefix}.${name}`).join('+');
    const tensors = randomTensors(new Random(1), made);
    const flat = layout.pack(tensors);
    const { offset, length } = layout.flat.ranges.get(`${key}.A`)!;
    expect(length).toBe((4 + 2) * 64);
    const [q, v] = [tensors.get(`${prefix}.q_proj`)!, tensors.get(`${prefix}.v_proj`)!];
    expect(flat.slice(offset, offset + length)).toEqual(Float32Array.of(...q.A, ...v.A));
    const group = layout.group([
      { name: `${prefix}.q_proj`, inFeatures: 64, outFeatures: 64 },
      { name: `${prefix}.k_proj`, inFeatures: 64, outFeatures: 32 },
      { name: `${prefix}.v_proj`, inFeatures: 64, outFeatures: 32 },
    ])!;
    expect(group.segments.map(({ rank, hOffset, bOffset }) => [rank, hOffset, bOffset])).toEqual([
      [4, 0, 0],
      [0, 4, 256],
      [2, 4, 256],
    ]);
    // alpha / r of the module's own rank.
    expect(group.segments.map(({ scale }) => scale)).toEqual([32 / 4, 1, 32 / 2]);
  });

  test('DoRA and dropout keep projections apart', () => {
    expect(traced({ r: 4, target_modules: 'all-linear', use_dora: true }).layout.grouped).toBe(false);
    expect(traced({ r: 4, target_modules: 'all-linear', lora_dropout: 0.1 }).layout.grouped).toBe(false);
  });

  test('dropout takes part in training alone', () => {
    const { targets, loraConfig } = traced({ r: 4, target_modules: 'all-linear', lora_dropout: 0.25 });
    expect(new LoraLayout(targets, loraConfig, true).dropout).toBe(0.25);
    expect(new LoraLayout(targets, loraConfig, false).dropout).toBe(0);
  });
});

describe('what does not fit is named', () => {
  const made = traced({ r: 4, target_modules: ['q_proj'] });
  const name = 'model.layers.1.self_attn.q_proj';
  const good = randomTensors(new Random(3), made);
  const change = (edit: (tensors: LoraTensors) => LoraTensors | undefined): Map<string, LoraTensors> => {
    const changed = edit({ ...good.get(name)! });
    const copy = new Map(good);
    if (changed) copy.set(name, changed);
    else copy.delete(name);
    return copy;
  };

  test('a module without tensors', () => {
    expect(() => made.layout.pack(change(() => undefined))).toThrow(UserError);
    expect(() => made.layout.pack(change(() => undefined))).toThrow(name);
  });

  test('tensors of another size', () => {
    const wrong = change((tensors) => ({ ...tensors, A: new Float32Array(5), r: 1 }));
    expect(() => made.layout.pack(wrong)).toThrow(/layers\.1\.self_attn\.q_proj.*another base/);
  });

  test('a missing magnitude', () => {
    const dora = traced({ r: 4, target_modules: ['q_proj'], use_dora: true });
    expect(() => dora.layout.pack(good)).toThrow(/DoRA's magnitudes for model\.layers\.0/);
  });

  test('a checkpoint of other settings', () => {
    expect(() => made.layout.fromTensorOrder(new Float32Array(7))).toThrow(/other adapter settings/);
  });
});
