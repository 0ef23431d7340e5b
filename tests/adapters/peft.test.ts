import { unzipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import { parseLoraConfig } from '../../src/adapters/lora-config.ts';
import { initLora } from '../../src/adapters/init.ts';
import { matchAdapter, peftTensorName, readPeftFolder, writePeftFolder } from '../../src/adapters/peft.ts';
import { zipFolder } from '../../src/common/zip.ts';
import type { Adapter } from '../../src/adapters/peft.ts';
import { resolveTargets } from '../../src/adapters/targets.ts';
import type { AdaptableModule } from '../../src/adapters/targets.ts';
import { MemoryFolder } from '../../src/models/files/folder.ts';
import { parseSafetensors, writeSafetensors } from '../../src/models/files/safetensors.ts';
import type { TensorData } from '../../src/models/files/safetensors.ts';
import { diskFolder, fixture, FIXTURES, textFolder } from '../support/disk-folder.ts';

const { modules } = fixture<{ modules: AdaptableModule[] }>('formats/targets.json');
const text = new TextDecoder();

function fresh(settings: Record<string, unknown>, seed = 1): Adapter {
  const config = parseLoraConfig({ base_model_name_or_path: 'someone/base', ...settings });
  return { config, tensors: initLora(resolveTargets(config, modules), config, seed) };
}

test('reads an adapter that PEFT saved', async () => {
  const adapter = await readPeftFolder(diskFolder(`${FIXTURES}formats/adapter`));
  const expected = fixture<Record<string, [number, number[]]>>('formats/adapter/expected.json');
  expect(adapter.config).toMatchObject({ r: 4, lora_alpha: 8, use_dora: true, task_type: 'CAUSAL_LM' });
  expect(Object.keys(expected)).toHaveLength(adapter.tensors.size * 3);
  const sum = (values: Float32Array): number => values.reduce((total, value) => total + value, 0);
  for (const [module, { A, B, magnitude, r, inFeatures, outFeatures }] of adapter.tensors) {
    const at = (part: string) => expected[`base_model.model.${module}.${part}.default.weight`]!;
    expect([r, inFeatures]).toEqual(at('lora_A')[1]);
    expect([outFeatures, r]).toEqual(at('lora_B')[1]);
    expect(sum(A)).toBeCloseTo(at('lora_A')[0], 4);
    expect(sum(B)).toBeCloseTo(at('lora_B')[0], 4);
    expect(sum(magnitude!)).toBeCloseTo(at('lora_magnitude_vector')[0], 4);
  }
  const targets = matchAdapter(adapter, modules);
  expect(targets).toEqual(resolveTargets(adapter.config, modules));
  expect(targets.find(({ name }) => name === 'model.layers.1.self_attn.q_proj')).toMatchObject({ r: 2, scale: 4 });
});

test('writes the fields, tensors and metadata that PEFT writes', async () => {
  const peft = diskFolder(`${FIXTURES}formats/adapter`);
  const adapter = await readPeftFolder(peft);
  const mine = new MemoryFolder('out', writePeftFolder(adapter));
  const theirs = JSON.parse(text.decode(await peft.read('adapter_config.json'))) as Record<string, unknown>;
  const config = JSON.parse(text.decode(await mine.read('adapter_config.json'))) as Record<string, unknown>;
  expect(Object.keys(config)).toEqual(Object.keys(theirs).sort());
  (theirs['target_modules'] as string[]).sort();
  expect(config).toEqual(theirs);
  const header = await parseSafetensors(mine, 'adapter_model.safetensors');
  const reference = await parseSafetensors(peft, 'adapter_model.safetensors');
  expect(header.metadata).toEqual(reference.metadata);
  for (const [name, entry] of reference.tensors) {
    expect(header.tensors.get(name)).toMatchObject({ dtype: entry.dtype, shape: entry.shape });
    expect(await mine.read(entry.file, header.tensors.get(name)!.begin, header.tensors.get(name)!.end)).toEqual(
      await peft.read(entry.file, entry.begin, entry.end),
    );
  }
  expect(header.tensors.size).toBe(reference.tensors.size);
});

test('what is written is read back the same, as a zip too', async () => {
  const adapter = fresh({ target_modules: 'all-linear', r: 3, rank_pattern: { q_proj: 2 }, use_rslora: true });
  const files = writePeftFolder(adapter, { title: 'A voice: "x"\n---', description: 'From\nthree chats' });
  const back = await readPeftFolder(new MemoryFolder('out', files));
  expect(back.tensors).toEqual(adapter.tensors);
  // The shorthand is written out, as PEFT does.
  const targets = ['down_proj', 'gate_proj', 'k_proj', 'o_proj', 'q_proj', 'up_proj', 'v_proj'];
  expect(back.config).toEqual({ ...adapter.config, target_modules: targets });
  expect(matchAdapter(back, modules)).toEqual(resolveTargets(adapter.config, modules));
  expect(text.decode(files.get('README.md'))).toBe(
    '---\nbase_model: "someone/base"\nlibrary_name: peft\ntags:\n- lora\n---\n\n# A voice: "x" ---\n\nFrom three chats\n',
  );
  const zip = zipFolder(files);
  expect(new Map(Object.entries(unzipSync(zip)))).toEqual(files);
  expect(zipFolder(files)).toEqual(zip);
});

test('an adapter saved under its own name lies in a sub-folder', async () => {
  const files = writePeftFolder(fresh({ target_modules: ['q_proj'] }));
  const nested = new Map([...files].map(([path, bytes]) => [`voice/${path}`, bytes]));
  expect((await readPeftFolder(new MemoryFolder('out', nested))).tensors.size).toBe(3);
  const twice = new Map([...nested, ...[...files].map(([path, bytes]) => [`other/${path}`, bytes] as const)]);
  await expect(readPeftFolder(new MemoryFolder('out', twice))).rejects.toThrow('holds several adapters');
});

describe('every mismatch is named', () => {
  const module = 'model.layers.0.self_attn.q_proj';
  const tensor = (name: string, shape: number[], fill = 1): TensorData => ({
    name,
    dtype: 'F32',
    shape,
    data: new Float32Array(shape.reduce((product, dim) => product * dim, 1)).fill(fill),
  });
  const A = tensor(peftTensorName(module, 'A'), [2, 12]);
  const B = tensor(peftTensorName(module, 'B'), [12, 2]);
  const magnitude = tensor(peftTensorName(module, 'magnitude'), [12]);
  const config = { peft_type: 'LORA', r: 2, lora_alpha: 4, target_modules: ['q_proj'] };
  const read = (tensors: TensorData[], settings: object = {}) =>
    readPeftFolder(
      textFolder('mine', {
        'adapter_config.json': { ...config, ...settings },
        'adapter_model.safetensors': writeSafetensors(tensors),
      }),
    );

  const broken: [string, TensorData[], object, string][] = [
    ['no tensors', [], {}, 'holds no tensors'],
    ['A without B', [A], {}, 'has lora_A but no lora_B'],
    ['B without A', [B], {}, 'has lora_B but no lora_A'],
    ['another rank', [A, B], { r: 4 }, 'should have rank 4 by its adapter_config.json, but lora_A is [2, 12]'],
    ['rank by a pattern', [A, B], { rank_pattern: { q_proj: 3 } }, 'should have rank 3'],
    ['ranks that differ', [A, tensor(B.name, [12, 3])], {}, 'lora_B [12, 3]'],
    ['a convolution', [tensor(A.name, [2, 12, 3, 3]), B], {}, 'linear layers have two dimensions'],
    ['DoRA without magnitude', [A, B], { use_dora: true }, 'lacks DoRA'],
    ['a magnitude without DoRA', [A, B, magnitude], {}, 'but use_dora is false'],
    [
      'a magnitude of another size',
      [A, B, tensor(magnitude.name, [5])],
      { use_dora: true },
      'a magnitude of shape [5]',
    ],
    ['values that are not finite', [A, tensor(B.name, [12, 2], NaN)], {}, 'holds values that are not finite'],
    ['integers', [{ ...A, dtype: 'I32', data: new Int32Array(24) }, B], {}, 'is stored as I32'],
    ['another prefix', [tensor('unet.x.lora_A.weight', [2, 2])], {}, 'does not begin with base_model.model.'],
    ['an embedding', [tensor('base_model.model.e.lora_embedding_A', [2, 2])], {}, 'which adapts an embedding'],
    ['a bias', [tensor('base_model.model.q.lora_B.bias', [2])], {}, 'a bias'],
    ['a whole layer', [tensor('base_model.model.lm_head.weight', [2])], {}, 'which is no part of a LoRA'],
    [
      'both names of a magnitude',
      [A, B, magnitude, tensor(`${magnitude.name}.weight`, [12])],
      { use_dora: true },
      'twice',
    ],
  ];
  test.each(broken)('%s', async (_, tensors, settings, words) => {
    await expect(read(tensors, settings)).rejects.toThrow(UserError);
    await expect(read(tensors, settings)).rejects.toThrow(words);
  });

  test('files that are missing', async () => {
    await expect(readPeftFolder(textFolder('mine', { 'model.safetensors': '' }))).rejects.toThrow(
      'has no adapter_config.json',
    );
    await expect(readPeftFolder(textFolder('mine', { 'adapter_config.json': config }))).rejects.toThrow(
      'has no adapter_model.safetensors',
    );
    const pickled = textFolder('mine', { 'adapter_config.json': config, 'adapter_model.bin': '' });
    await expect(readPeftFolder(pickled)).rejects.toThrow('may run code and is not opened here');
  });

  test('another base', async () => {
    const adapter = await read([A, B]);
    expect(() =>
      matchAdapter(
        adapter,
        modules.filter(({ name }) => name !== module),
      ),
    ).toThrow('that this base does not have');
    const wider = modules.map((item) => (item.name === module ? { ...item, inFeatures: 16 } : item));
    expect(() => matchAdapter(adapter, wider)).toThrow(`“${module}” to be 12 × 12; this base has 12 × 16`);
  });

  test('half-precision files are read exactly', async () => {
    const halves = (data: TensorData, dtype: 'F16' | 'BF16'): TensorData => ({ ...data, dtype });
    expect((await read([halves(A, 'F16'), halves(B, 'BF16')])).tensors.get(module)!.A).toEqual(
      new Float32Array(24).fill(1),
    );
  });
});
