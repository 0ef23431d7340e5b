import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { parseLoraConfig } from '../../../src/adapters/lora-config.ts';
import type { Adapter } from '../../../src/adapters/peft.ts';
import { Device } from '../../../src/engine/device.ts';
import { UserError } from '../../../src/common/errors.ts';
import { MemoryFolder } from '../../../src/models/files/folder.ts';
import type { TensorData } from '../../../src/models/files/safetensors.ts';
import { VoiceModel } from '../../../src/tasks/voice/model.ts';
import { FIXTURES } from '../../support/disk-folder.ts';
import type { ConfigJson } from '../../support/tiny.ts';
import {
  LORA,
  familyDevice,
  TINY,
  ownDevice,
  quickRecipe,
  randomExamples,
  tinyFiles,
  tinyFolder,
  trained,
} from './support.ts';

// Nothing here compares numbers of the model: any will do.
const seed = 1;
const text = (content: string | object): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(typeof content === 'string' ? content : JSON.stringify(content));
const weights = tinyFiles({ seed }).get('model.safetensors')!;

describe('a base that cannot be used', () => {
  let device: Device;
  beforeAll(async () => {
    device = await familyDevice('cpu');
  });
  afterEach(() => {
    expect(device.allocatedBytes, 'nothing is left behind').toBe(0);
  });

  const without = (name: string) => (tensors: TensorData[]) => tensors.filter((tensor) => tensor.name !== name);
  const reshaped = (name: string, shape: number[]) => (tensors: TensorData[]) =>
    tensors.map((tensor) => (tensor.name === name ? { ...tensor, shape } : tensor));
  const folder = (config: ConfigJson | string, bytes = weights): MemoryFolder =>
    new MemoryFolder(
      'base',
      new Map([
        ['config.json', text(config)],
        ['model.safetensors', bytes],
      ]),
    );

  const cases: [string, () => MemoryFolder, RegExp][] = [
    [
      'a missing tensor',
      () => tinyFolder({ seed, edit: without('model.layers.1.mlp.up_proj.weight') }),
      /has no tensor “?model\.layers\.1\.mlp\.up_proj\.weight/,
    ],
    [
      'a missing norm',
      () => tinyFolder({ seed, edit: without('model.norm.weight') }),
      /has no tensor “?model\.norm\.weight/,
    ],
    [
      'an untied base without a head',
      () => tinyFolder({ seed, edit: without('lm_head.weight') }),
      /has no tensor “?lm_head\.weight/,
    ],
    [
      'another shape',
      () => tinyFolder({ seed, edit: reshaped('model.layers.0.self_attn.q_proj.weight', [12, 48]) }),
      /q_proj\.weight.*\[12, 48\].*\[24, 24\]/,
    ],
    [
      'fewer words than config.json says',
      () => folder({ ...TINY, vocab_size: 70 }),
      /embed_tokens\.weight.*\[61, 24\].*\[70, 24\]/,
    ],
    [
      'another architecture',
      () => folder({ ...TINY, model_type: 'gemma3_text' }),
      /“gemma3_text”.*llama, qwen2, qwen3/,
    ],
    [
      'no config.json',
      () => new MemoryFolder('weights', new Map([['model.safetensors', weights]])),
      /has no config\.json, so it is not a model folder/,
    ],
    ['a config.json that is not JSON', () => folder('{"model_type": "lla'), /config\.json.*not valid JSON/],
    ['no weights', () => new MemoryFolder('empty', new Map([['config.json', text(TINY)]])), /no safetensors weights/],
    ['weights cut short', () => folder(TINY, weights.slice(0, -100)), /model\.safetensors/],
    [
      'a broken tokenizer',
      () => tinyFolder({ seed, files: new Map([['tokenizer.json', text('{')]]) }),
      /tokenizer\.json/,
    ],
  ];
  test.each(cases)('%s', async (_, base, message) => {
    const loading = VoiceModel.load(device, base());
    await expect(loading).rejects.toThrow(UserError);
    await expect(loading).rejects.toThrow(message);
  });

  test('a precision that there is not', async () => {
    await expect(VoiceModel.load(device, tinyFolder({ seed }), { precision: 'int1' })).rejects.toThrow(
      /“int1”.*stored/,
    );
  });

  test('loading called off frees what was there', async () => {
    const stop = new AbortController();
    let told = 0;
    const onProgress = (): void => {
      if (++told === 3) stop.abort();
    };
    const loading = VoiceModel.load(device, tinyFolder({ seed }), { signal: stop.signal, onProgress });
    await expect(loading).rejects.toMatchObject({ name: 'AbortError' });
    expect(told).toBeLessThan(5);
  });

  test('a base larger than the device binds is refused with both sizes', async () => {
    const small = await ownDevice();
    try {
      small.info.limits['maxStorageBufferBindingSize'] = 4096;
      await expect(VoiceModel.load(small, tinyFolder({ seed }))).rejects.toThrow(
        /at most 4096 bytes.*64 rows of .* take 6144/,
      );
    } finally {
      small.destroy();
    }
  });
});

describe('an adapter, a run or a question that does not fit', () => {
  let device: Device;
  let model: VoiceModel;
  let bytes: number;
  beforeAll(async () => {
    device = await familyDevice('cpu');
    model = await VoiceModel.load(device, tinyFolder({ seed }));
    bytes = device.allocatedBytes;
  });
  afterAll(() => model.destroy());
  afterEach(async () => {
    await model.useAdapter(null);
    expect(device.allocatedBytes, 'nothing is left behind').toBe(bytes);
  });

  const adapterFor = async (config: ConfigJson): Promise<Adapter> => {
    const other = await VoiceModel.load(device, tinyFolder({ seed, config }));
    try {
      const run = await trained(other, { examples: randomExamples(seed), recipe: quickRecipe({ max_steps: 1 }) });
      return run.adapter;
    } finally {
      other.destroy();
    }
  };

  test('an adapter for a wider base', async () => {
    const adapter = await adapterFor({ hidden_size: 32 });
    await expect(model.useAdapter(adapter)).rejects.toThrow(/q_proj.*24 × 32.*24 × 24.*another base/);
  });

  test('an adapter for a deeper base', async () => {
    const adapter = await adapterFor({ num_hidden_layers: 3 });
    await expect(model.useAdapter(adapter)).rejects.toThrow(/layers\.2\..*does not have.*another base/);
  });

  test('modules that nothing matches, and the head', async () => {
    const train = async (target_modules: string[]) =>
      (
        await trained(model, {
          adapter: parseLoraConfig({ target_modules }),
          examples: randomExamples(seed),
          recipe: quickRecipe(),
        })
      ).error;
    expect(await train(['q_projection'])).toBeInstanceOf(UserError);
    expect(String(await train(['q_projection']))).toMatch(/q_projection/);
    expect(String(await train(['lm_head']))).toMatch(/lm_head/);
  });

  test('a checkpoint of a run with another adapter layout', async () => {
    const options = { examples: randomExamples(seed), recipe: quickRecipe({ max_steps: 2 }) };
    const wider = await VoiceModel.load(device, tinyFolder({ seed, config: { intermediate_size: 40 } }));
    const { checkpoint } = await trained(wider, options);
    wider.destroy();
    const { error } = await trained(model, { ...options, recipe: quickRecipe({ max_steps: 4 }), resume: checkpoint! });
    expect(error).toBeInstanceOf(UserError);
    expect(String(error)).toMatch(/40 × 24; this base has 36 × 24\. It was made for another base/);
  });

  test('a damaged checkpoint', async () => {
    const options = { examples: randomExamples(seed), recipe: quickRecipe({ max_steps: 2 }) };
    const { checkpoint } = await trained(model, options);
    const damaged = checkpoint!.slice();
    damaged[damaged.length - 40]! ^= 16;
    const { error } = await trained(model, { ...options, resume: damaged });
    expect(String(error)).toMatch(/damaged/);
  });

  test('without a tokenizer: prepared batches train, words are refused', async () => {
    const generate = async () => {
      for await (const chunk of model.generate({ prompt: 'Hello', max_new_tokens: 3, do_sample: false }))
        expect.fail(chunk.text);
    };
    await expect(generate()).rejects.toThrow(/“tiny” has no tokenizer\.json/);
    const run = model.train({ rows: [], adapter: LORA, recipe: quickRecipe() });
    await expect(run.next()).rejects.toThrow(/has no tokenizer\.json|nothing to learn from/);
    expect(() => model.preview([{ kind: 'text', text: 'Hello' }])).toThrow(/has no tokenizer\.json/);
    expect(model.info.hasChatTemplate).toBe(false);
    await expect(model.currentAdapter()).rejects.toThrow(/There is no adapter yet/);
  });

  test('a tokenizer without a chat template: prompts are answered, messages refused', async () => {
    const files = new Map(
      ['tokenizer.json', 'tokenizer_config.json'].map((name) => [
        name,
        new Uint8Array(readFileSync(join(FIXTURES, 'llama-gqa/base', name))),
      ]),
    );
    const config = JSON.parse(new TextDecoder().decode(files.get('tokenizer_config.json'))) as ConfigJson;
    delete config['chat_template'];
    files.set('tokenizer_config.json', text(config));
    const { vocab_size } = JSON.parse(readFileSync(join(FIXTURES, 'llama-gqa/base/config.json'), 'utf8')) as {
      vocab_size: number;
    };
    const speaking = await VoiceModel.load(device, tinyFolder({ seed, config: { vocab_size }, files }));
    try {
      const say = async (asked: object): Promise<number> => {
        let tokens = 0;
        for await (const chunk of speaking.generate({ max_new_tokens: 3, do_sample: false, ...asked }))
          tokens += chunk.tokenIds.length;
        return tokens;
      };
      expect(await say({ prompt: 'a' })).toBeGreaterThan(0);
      await expect(say({ messages: [{ role: 'user', content: 'a' }] })).rejects.toThrow(/chat template/);
      await expect(say({})).rejects.toThrow(/Give either a prompt or messages/);
      await expect(say({ prompt: 'a', max_new_tokens: 0 })).rejects.toThrow(/max_new_tokens/);
      await expect(say({ prompt: 'a', do_sample: true, temperature: 0 })).rejects.toThrow(/temperature/);
      await expect(say({ prompt: 'a '.repeat(80) })).rejects.toThrow(/tokens long, and this base reads 64/);
    } finally {
      speaking.destroy();
    }
  });

  test('a batch too large for the device', async () => {
    const tight = await ownDevice();
    try {
      const base = await VoiceModel.load(tight, tinyFolder({ seed }));
      tight.info.limits['maxStorageBufferBindingSize'] = 16_384;
      const { error } = await trained(base, {
        examples: randomExamples(seed),
        recipe: quickRecipe({ per_device_train_batch_size: 64 }),
      });
      expect(error).toBeInstanceOf(UserError);
      expect(String(error)).toMatch(/one buffer of \d+ bytes.*allows 16384.*smaller batch/);
    } finally {
      tight.destroy();
    }
  });
});

describe('a device that is too small', () => {
  const limits = {
    maxBufferSize: 2 ** 28,
    maxStorageBufferBindingSize: 2 ** 27,
    maxStorageBuffersPerShaderStage: 8,
    maxComputeWorkgroupStorageSize: 16384,
    maxComputeInvocationsPerWorkgroup: 256,
    maxComputeWorkgroupSizeX: 256,
    maxComputeWorkgroupSizeY: 256,
    maxComputeWorkgroupSizeZ: 64,
    maxComputeWorkgroupsPerDimension: 65535,
  };
  const gpuWith = (change: Partial<typeof limits>): GPU =>
    ({
      requestAdapter: () =>
        Promise.resolve({
          limits: { ...limits, ...change },
          features: new Set(),
          info: {},
          requestDevice: () => Promise.reject(new Error('asked for a device')),
        }),
    }) as unknown as GPU;

  test.each([
    [{ maxStorageBuffersPerShaderStage: 4 }, /maxStorageBuffersPerShaderStage is 4, and 8 is needed/],
    [{ maxComputeInvocationsPerWorkgroup: 128 }, /maxComputeInvocationsPerWorkgroup is 128, and 256 is needed/],
    [{ maxComputeWorkgroupStorageSize: 8192 }, /maxComputeWorkgroupStorageSize is 8192, and 16384 is needed/],
  ])('%j is refused by name, with what is needed', async (change, message) => {
    const opening = Device.open(gpuWith(change));
    await expect(opening).rejects.toThrow(UserError);
    await expect(opening).rejects.toThrow(message);
  });

  test('the smallest that will do is asked for a device', async () => {
    await expect(Device.open(gpuWith({}))).rejects.toThrow('asked for a device');
  });

  test('no adapter at all', async () => {
    const none = { requestAdapter: () => Promise.resolve(null) } as unknown as GPU;
    await expect(Device.open(none)).rejects.toThrow(/No graphics adapter answered.*hardware acceleration/);
  });

  test('a full memory is said in a sentence, and nothing stays behind', async () => {
    const device = await ownDevice();
    try {
      // The scopes are popped in this order: validation, memory.
      const full = (): void => {
        vi.spyOn(device.gpu, 'popErrorScope')
          .mockResolvedValueOnce(null)
          .mockResolvedValueOnce({ message: 'out of memory' } as GPUError);
      };
      full();
      await expect(VoiceModel.load(device, tinyFolder({ seed }))).rejects.toThrow(
        /graphics memory is full \(loading the base model\)/,
      );
      vi.restoreAllMocks();
      expect(device.allocatedBytes).toBe(0);
      const model = await VoiceModel.load(device, tinyFolder({ seed }));
      const planned = await model.plan({ examples: randomExamples(seed), recipe: quickRecipe(), adapter: LORA });
      // The adapter still finds room, the step no more.
      const pop = vi.spyOn(device.gpu, 'popErrorScope');
      pop
        .mockResolvedValueOnce(null)
        .mockResolvedValueOnce(null)
        .mockResolvedValueOnce(null)
        .mockResolvedValueOnce({ message: 'out of memory' } as GPUError);
      const { error } = await trained(model, { examples: randomExamples(seed), recipe: quickRecipe() });
      vi.restoreAllMocks();
      expect(error).toBeInstanceOf(UserError);
      expect(String(error)).toMatch(
        /graphics memory is full \(the memory of a training step\).*smaller base, batch or length/,
      );
      expect(device.allocatedBytes).toBe(planned.frozenBytes + planned.adapterBytes);
      model.destroy();
      expect(device.allocatedBytes).toBe(0);
    } finally {
      vi.restoreAllMocks();
      device.destroy();
    }
  });

  test('an error of validation is not taken for a full memory', async () => {
    const device = await ownDevice();
    try {
      const failing = device.guarded('something', () =>
        device.gpu.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE }),
      );
      await expect(failing).rejects.toThrow(/^something: /);
      await expect(failing).rejects.not.toThrow(UserError);
      // What throws inside keeps its own error, and the scopes are balanced afterwards.
      await expect(device.guarded('else', () => Promise.reject(new Error('of its own')))).rejects.toThrow('of its own');
      await expect(device.gpu.popErrorScope()).rejects.toThrow();
      device.check();
    } finally {
      device.destroy();
    }
  });
});
