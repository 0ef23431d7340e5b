import { expect, test } from 'vitest';
import { Checkpoint } from '../../../src/models/files/checkpoint.ts';
import { writeSafetensors } from '../../../src/models/files/safetensors.ts';
import { textFolder } from '../../support/disk-folder.ts';

const shard = (...names: string[]) =>
  writeSafetensors(
    names.map((name) => ({ name, dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, names.length) })),
  );
const index = (weightMap: object) => ({ metadata: {}, weight_map: weightMap });

test('opens one file, shards with an index, a sub-folder, or the only safetensors file there is', async () => {
  const sharded = await Checkpoint.open(
    textFolder('base', {
      'model.safetensors.index.json': index({ a: 'model-1.safetensors', b: 'model-2.safetensors' }),
      'model-1.safetensors': shard('a', 'unlisted'),
      'model-2.safetensors': shard('b'),
    }),
  );
  expect([...sharded.tensors.keys()]).toEqual(['a', 'b']);
  expect(sharded.requireTensor('b', [2, 2]).file).toBe('model-2.safetensors');
  expect([...(await sharded.readFloats('a'))]).toEqual([1, 2, 3, 2]);

  const nested = textFolder('pipeline', {
    'unet/diffusion_pytorch_model.safetensors': shard('x'),
    'vae/weights.fp16.safetensors': shard('y'),
  });
  expect((await Checkpoint.open(nested, 'unet')).has('x')).toBe(true);
  expect((await Checkpoint.open(nested, 'vae')).has('y')).toBe(true);
  await expect(Checkpoint.open(nested)).rejects.toThrow('has no safetensors weights');
});

test('reads in pieces that never exceed the chunk', async () => {
  const values = Float32Array.from({ length: 1000 }, (_, i) => i);
  const folder = textFolder('base', {
    'model.safetensors': writeSafetensors([
      { name: 'first', dtype: 'U8', shape: [8], data: new Uint8Array(8).fill(255) },
      { name: 'w', dtype: 'F32', shape: [1000], data: values },
    ]),
  });
  const checkpoint = await Checkpoint.open(folder);
  const whole = new Uint8Array(4000);
  let expected = 0;
  for await (const { offset, bytes } of checkpoint.chunks('w', 0, undefined, 96)) {
    expect(offset).toBe(expected);
    expect(bytes.length).toBeLessThanOrEqual(96);
    whole.set(bytes, offset);
    expected += bytes.length;
  }
  expect(new Float32Array(whole.buffer)).toEqual(values);
  expect([...new Float32Array((await checkpoint.read('w', 40, 48)).buffer)]).toEqual([10, 11]);
  await expect(checkpoint.read('w', 0, 4001)).rejects.toThrow(RangeError);
});

test('says what is missing, mismatching or in another format', async () => {
  const open = (files: Parameters<typeof textFolder>[1]) => Checkpoint.open(textFolder('base', files));
  const checkpoint = await open({ 'model.safetensors': shard('a') });
  expect(() => checkpoint.requireTensor('a', [4])).toThrow(
    'Tensor “a” in model.safetensors of “base” has the shape [2, 2]; its config.json asks for [4].',
  );
  expect(() => checkpoint.requireTensor('lm_head.weight', [4])).toThrow('“base” has no tensor “lm_head.weight”');
  const list = 'model.safetensors.index.json';
  await expect(open({ [list]: index({ a: 'm.safetensors' }) })).rejects.toThrow('“m.safetensors” is missing in “base”');
  await expect(open({ [list]: index({ z: 'm.safetensors' }), 'm.safetensors': shard('a') })).rejects.toThrow(
    'm.safetensors in “base” does not hold tensor “z”',
  );
  for (const path of ['../secret.safetensors', '/etc/x.safetensors', 'a\\b.safetensors', 'model.bin', 7]) {
    await expect(open({ [list]: index({ a: path }) })).rejects.toThrow('as a file of weights, which it cannot be');
  }
  await expect(open({ [list]: '{' })).rejects.toThrow('is not valid JSON');
  await expect(open({ [list]: [] })).rejects.toThrow('has no weight_map');
  await expect(open({ 'pytorch_model.bin': '' })).rejects.toThrow('only PyTorch');
  await expect(open({ 'm-q4.gguf': '' })).rejects.toThrow('only GGUF weights');
  await expect(open({ 'config.json': '{}' })).rejects.toThrow('has no safetensors weights');
  await expect(open({ 'a.safetensors': shard('a'), 'b.safetensors': shard('b') })).rejects.toThrow(
    'several weight files',
  );
  await expect(open({ 'adapter_config.json': '{}', 'adapter_model.safetensors': shard('a') })).rejects.toThrow(
    'holds an adapter, not a base model',
  );
});
