import { describe, expect, it } from 'vitest';
import { parseLoraConfig } from '../../src/adapters/lora-config.ts';
import { initLora } from '../../src/adapters/init.ts';
import { LoraLayout } from '../../src/adapters/layout.ts';
import { matchAdapter, readPeftFolder, writePeftFolder } from '../../src/adapters/peft.ts';
import type { Adapter } from '../../src/adapters/peft.ts';
import { resolveTargets } from '../../src/adapters/targets.ts';
import type { AdaptableModule } from '../../src/adapters/targets.ts';
import { MemoryFolder } from '../../src/models/files/folder.ts';
import { parseSafetensors } from '../../src/models/files/safetensors.ts';

const modules: AdaptableModule[] = [
  { name: 'decoder.embed_tokens.0', inFeatures: 11, outFeatures: 6, embedding: true },
  { name: 'decoder.embed_tokens.1', inFeatures: 11, outFeatures: 6, embedding: true },
  { name: 'decoder.layers.0.fc1', inFeatures: 6, outFeatures: 9 },
];

const adapterFor = (fields: object): Adapter => {
  const config = parseLoraConfig({ r: 3, lora_alpha: 6, ...fields });
  return { config, tensors: initLora(resolveTargets(config, modules), config, 5) };
};

describe('an adapted embedding', () => {
  it('starts as in PEFT: A zero, B normal, so that it changes nothing', () => {
    const { tensors } = adapterFor({ target_modules: ['embed_tokens.0', 'fc1'] });
    expect([...tensors.keys()]).toEqual(['decoder.embed_tokens.0', 'decoder.layers.0.fc1']);
    const { A, B } = tensors.get('decoder.embed_tokens.0')!;
    expect(A).toEqual(new Float32Array(33));
    expect(B.every((value) => value !== 0 && Math.abs(value) < 6)).toBe(true);
    expect(B.length).toBe(18);
  });

  it('has PEFT’s names in files, and comes back from them', async () => {
    const adapter = adapterFor({ target_modules: ['embed_tokens.0', 'embed_tokens.1', 'fc1'] });
    const folder = new MemoryFolder('made', writePeftFolder(adapter));
    const { tensors: entries } = await parseSafetensors(folder, 'adapter_model.safetensors');
    const base = 'base_model.model.decoder.';
    expect([...entries].map(([name, { shape }]) => [name, shape])).toEqual(
      expect.arrayContaining([
        [`${base}embed_tokens.1.lora_embedding_A`, [3, 11]],
        [`${base}embed_tokens.1.lora_embedding_B`, [6, 3]],
        [`${base}layers.0.fc1.lora_A.weight`, [3, 6]],
      ]),
    );
    const read = await readPeftFolder(folder, { embeddings: true });
    expect(read.tensors).toEqual(adapter.tensors);
    await expect(readPeftFolder(folder)).rejects.toThrow('adapts an embedding');
    expect(matchAdapter(read, modules).map(({ embedding }) => embedding)).toEqual([true, true, undefined]);
    const linear = modules.map(({ embedding: _, ...rest }) => rest);
    expect(() => matchAdapter(read, linear)).toThrow('to be an embedding, which it is not');
  });

  it('has a place of its own in the flat buffers', () => {
    const adapter = adapterFor({ target_modules: ['embed_tokens.0', 'fc1'] });
    const targets = matchAdapter(adapter, modules);
    const layout = new LoraLayout(targets, adapter.config, true);
    for (const module of modules) layout.group([module]);
    const flat = layout.pack(adapter.tensors);
    expect(layout.unpack(flat)).toEqual(adapter.tensors);
    expect(layout.tensors.map(({ name }) => name)).toContain(
      'base_model.model.decoder.embed_tokens.0.lora_embedding_B',
    );
    expect(layout.fromTensorOrder(layout.toTensorOrder(flat))).toEqual(flat);
  });

  it('is not meant by all-linear, and takes no DoRA', () => {
    expect([...adapterFor({ target_modules: 'all-linear' }).tensors.keys()]).toEqual(['decoder.layers.0.fc1']);
    expect(() => adapterFor({ target_modules: ['embed_tokens.0'], use_dora: true })).toThrow('is an embedding');
  });
});
