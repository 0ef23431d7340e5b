import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import { LORA_FIELDS, parseLoraConfig } from '../../src/adapters/lora-config.ts';
import { resolveTargets } from '../../src/adapters/targets.ts';
import type { AdaptableModule } from '../../src/adapters/targets.ts';
import { fixture } from '../support/disk-folder.ts';

interface Case {
  config: Record<string, unknown>;
  /** Null where PEFT refuses, or adapts an embedding, which is refused here. */
  targets: Record<string, { r: number; scale: number }> | null;
}
const { modules, cases } = fixture<{ modules: AdaptableModule[]; cases: Case[] }>('formats/targets.json');

test.each(cases.map((item) => [JSON.stringify(item.config), item] as const))(
  'PEFT’s choice for %s',
  (_, { config, targets }) => {
    const parsed = parseLoraConfig({ r: 4, lora_alpha: 6, ...config });
    if (targets === null) {
      expect(() => resolveTargets(parsed, modules)).toThrow(UserError);
      return;
    }
    const found = resolveTargets(parsed, modules);
    expect(found.map(({ name }) => name)).toEqual(Object.keys(targets));
    for (const { name, r, scale, inFeatures } of found) {
      expect(r, name).toBe(targets[name]!.r);
      expect(scale, name).toBeCloseTo(targets[name]!.scale, 12);
      expect(inFeatures).toBe(modules.find((module) => module.name === name)!.inFeatures);
    }
  },
);

test('the page’s defaults are a sound configuration', () => {
  const config = parseLoraConfig({});
  for (const { name, default: value, help, label } of LORA_FIELDS) {
    expect(config[name]).toEqual(value);
    expect(help.length).toBeGreaterThan(30);
    expect(label).not.toBe('');
  }
  expect(Object.keys(config).sort()).toEqual(LORA_FIELDS.map(({ name }) => name).sort());
  expect(parseLoraConfig(config)).toEqual(config);
});

test('a file of PEFT’s takes PEFT’s defaults and may hold fields of other versions', () => {
  const config = parseLoraConfig({ peft_type: 'LORA', target_modules: ['q_proj'], brand_new: 1 }, 'x', {
    trained: true,
  });
  expect([config.r, config.lora_alpha, config.task_type]).toEqual([8, 8, null]);
  expect(
    parseLoraConfig({ target_modules: ['q'], init_lora_weights: 'orthogonal' }, 'x', { trained: true })
      .init_lora_weights,
  ).toBe(true);
});

describe('what cannot be done is said', () => {
  const refusals: [Record<string, unknown> | string | null, string][] = [
    ['r=8', 'is not an object'],
    [null, 'is not an object'],
    [{ lora_alfa: 3 }, 'has no field “lora_alfa”. Did you mean lora_alpha?'],
    [{ rank: 8 }, 'has no field “rank”.'],
    [{ r: 0 }, 'r must be a whole number from 1 to 4096, not 0.'],
    [{ r: 1.5 }, 'r must be'],
    [{ r: '8' }, 'not “8”'],
    [{ lora_alpha: -1 }, 'lora_alpha must be a number above 0'],
    [{ lora_alpha: Infinity }, 'lora_alpha must be'],
    [{ lora_dropout: 1 }, 'lora_dropout must be from 0 to below 1'],
    [{ use_dora: 'yes' }, 'use_dora must be true or false'],
    [{ target_modules: [] }, 'target_modules must be'],
    [{ target_modules: [3] }, 'target_modules must be'],
    [{ target_modules: '(' }, 'target_modules holds “(”, which is not a regular expression'],
    [{ target_modules: '(a+)+b' }, 'too involved'],
    [{ target_modules: '.*'.repeat(20) }, 'too involved'],
    [{ rank_pattern: { q_proj: 0 } }, 'rank_pattern must be'],
    [{ rank_pattern: { '[': 2 } }, 'rank_pattern holds “[”'],
    [{ alpha_pattern: [1] }, 'alpha_pattern must be'],
    [{ layers_to_transform: -1 }, 'layers_to_transform must be'],
    [{ target_modules: 'q_proj', layers_to_transform: 1 }, 'works only with a list'],
    [{ layers_pattern: 'layers' }, 'without layers_to_transform'],
    [{ peft_type: 'LOHA' }, 'is of the kind “LOHA”; only LORA'],
    [{ bias: 'all' }, 'trained biases'],
    [{ modules_to_save: ['lm_head'] }, 'modules_to_save'],
    [{ lora_bias: true }, 'lora_bias'],
    [{ fan_in_fan_out: true }, 'transposed weights'],
    [{ trainable_token_indices: [1] }, 'trained token embeddings'],
    [{ target_parameters: ['x'] }, 'target_parameters'],
    [{ use_qalora: true }, 'QALoRA'],
    [{ init_lora_weights: 'pissa' }, 'init_lora_weights must be true or "gaussian", not “pissa”'],
    [{ init_lora_weights: false }, 'init_lora_weights must be'],
  ];
  test.each(refusals)('%j', (config, words) => {
    expect(() => parseLoraConfig(config)).toThrow(UserError);
    expect(() => parseLoraConfig(config)).toThrow(words);
  });

  test('an adapter that changed its base', () => {
    const config = { peft_type: 'LORA', target_modules: ['q_proj'], init_lora_weights: 'pissa_niter_4' };
    expect(() => parseLoraConfig(config, 'adapter_config.json', { trained: true })).toThrow(
      'does not fit the base as published',
    );
  });

  test('targets that are no linear layers inside the blocks, or none at all', () => {
    const resolve = (target_modules: string | string[]) => resolveTargets(parseLoraConfig({ target_modules }), modules);
    expect(() => resolve(['lm_head'])).toThrow('“lm_head”, which is the output layer');
    expect(() => resolve(['embed_tokens'])).toThrow('which is an embedding');
    expect(() => resolve('.*norm')).toThrow('which is not a linear layer');
    expect(() => resolve(['query'])).toThrow(
      'matches no layer of this base. It has q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj.',
    );
  });
});
