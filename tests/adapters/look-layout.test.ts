import { describe, expect, test, vi } from 'vitest';
import { initLora } from '../../src/adapters/init.ts';
import { LoraLayout } from '../../src/adapters/layout.ts';
import { matchAdapter } from '../../src/adapters/peft.ts';
import { resolveTargets } from '../../src/adapters/targets.ts';
import type { AdaptableModule } from '../../src/adapters/targets.ts';
import { UserError } from '../../src/common/errors.ts';
import { parseLoraConfig } from '../../src/adapters/lora-config.ts';
import { randomAdapter } from '../support/look-modules.ts';

const conv: AdaptableModule = { name: 'unet.conv_in', inFeatures: 3, outFeatures: 5, kernel: [2, 3] };
const one: AdaptableModule = {
  name: 'unet.mid_block.attentions.0.proj_in',
  inFeatures: 4,
  outFeatures: 4,
  kernel: [1, 1],
};
const linear: AdaptableModule = { name: 'unet.mid_block.resnets.0.time_emb_proj', inFeatures: 4, outFeatures: 6 };
const modules = [conv, one, linear];
const targets = ['conv_in', 'proj_in', 'time_emb_proj'];

function laid(settings: Record<string, unknown> = {}) {
  const adapter = randomAdapter(modules, { r: 2, lora_alpha: 4, target_modules: targets, ...settings }, 1);
  const layout = new LoraLayout(matchAdapter(adapter, modules), adapter.config, true);
  const groups = modules.map((module) => layout.group([module])!);
  return { adapter, layout, groups };
}

describe('a convolution’s adapter', () => {
  test('lies on the device with the channels of a pixel side by side, and in files as [r, in, height, width]', () => {
    const { adapter, layout, groups } = laid();
    const flat = layout.pack(adapter.tensors);
    const { offset } = layout.flat.ranges.get(groups[0]!.a)!;
    expect(layout.flat.ranges.get(groups[0]!.a)!.length).toBe(2 * 3 * 6);
    const { A } = adapter.tensors.get(conv.name)!;
    for (let rank = 0; rank < 2; rank++) {
      for (let channel = 0; channel < 3; channel++) {
        for (let y = 0; y < 2; y++) {
          for (let x = 0; x < 3; x++) {
            const device = flat[offset + rank * 18 + (y * 3 + x) * 3 + channel];
            expect(device).toBe(A[((rank * 3 + channel) * 2 + y) * 3 + x]);
          }
        }
      }
    }
    expect(layout.unpack(flat)).toEqual(adapter.tensors);
  });

  test('is kept in checkpoints as in files', () => {
    const { adapter, layout } = laid();
    const flat = layout.pack(adapter.tensors);
    const ordered = layout.toTensorOrder(flat);
    expect(layout.fromTensorOrder(ordered)).toEqual(flat);
    expect(layout.tensors.map(({ shape }) => shape)).toEqual([
      [2, 3, 2, 3],
      [5, 2, 1, 1],
      [2, 4, 1, 1],
      [4, 2, 1, 1],
      [2, 4],
      [6, 2],
    ]);
    const inFiles = [...adapter.tensors.values()].flatMap(({ A, B }) => [...A, ...B]);
    expect([...ordered]).toEqual(inFiles);
    expect(layout.parameterCount).toBe(inFiles.length);
  });

  test('starts as PEFT starts it: uniform within one over the root of all that an output sees', () => {
    const config = parseLoraConfig({ r: 64, target_modules: ['conv_in'] });
    const { A, B, kernel } = initLora(resolveTargets(config, modules), config, 3).get(conv.name)!;
    const bound = 1 / Math.sqrt(3 * 6);
    const most = A.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    expect(A).toHaveLength(64 * 18);
    expect(most).toBeLessThanOrEqual(bound);
    expect(most).toBeGreaterThan(0.98 * bound);
    expect([B.length, kernel]).toEqual([5 * 64, [2, 3]]);
    expect(B.every((value) => value === 0)).toBe(true);
  });

  test('is not meant by all-linear, as in PEFT', () => {
    const config = parseLoraConfig({ target_modules: 'all-linear' });
    expect(resolveTargets(config, modules).map(({ name }) => name)).toEqual([linear.name]);
  });

  test('cannot be a DoRA, unless it looks at one pixel', () => {
    expect(() => laid({ use_dora: true })).toThrow(UserError);
    expect(() => laid({ use_dora: true })).toThrow('“unet.conv_in” is a convolution of 2 × 3');
    const config = parseLoraConfig({ use_dora: true, target_modules: ['proj_in'] });
    expect(resolveTargets(config, modules)).toMatchObject([{ name: one.name, kernel: [1, 1] }]);
  });
});

test('a pattern for each of many layers is read once, and PEFT’s first one counts', () => {
  const many = Array.from({ length: 788 }, (_, i) => ({
    name: `unet.blocks.${i}.to_q`,
    inFeatures: 1,
    outFeatures: 1,
  }));
  const rank_pattern = Object.fromEntries(many.map(({ name }, i) => [name, (i % 7) + 1]));
  const config = parseLoraConfig({ target_modules: many.map(({ name }) => name), rank_pattern });
  // Each layer is held against the patterns up to its own: hundreds of thousands of times. Reading a pattern costs most.
  let read = 0;
  vi.stubGlobal(
    'RegExp',
    new Proxy(RegExp, {
      construct(target, parts) {
        read += 1;
        return Reflect.construct(target, parts) as RegExp;
      },
    }),
  );
  const resolved = resolveTargets(config, many);
  vi.unstubAllGlobals();
  expect(resolved.map(({ r }) => r)).toEqual(many.map((_, i) => (i % 7) + 1));
  expect(read).toBe(many.length);
});
