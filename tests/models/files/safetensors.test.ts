import { describe, expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import { decodeFloats } from '../../../src/models/files/dtypes.ts';
import { MemoryFolder } from '../../../src/models/files/folder.ts';
import { parseSafetensors, writeSafetensors } from '../../../src/models/files/safetensors.ts';

function inFolder(bytes: Uint8Array<ArrayBuffer>): MemoryFolder {
  return new MemoryFolder('base', new Map([['model.safetensors', bytes]]));
}

function parse(bytes: Uint8Array<ArrayBuffer>): ReturnType<typeof parseSafetensors> {
  return parseSafetensors(inFolder(bytes), 'model.safetensors');
}

/** A file with the given header, true or not. */
function file(header: unknown, dataBytes: number, claimed?: bigint): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

const tensor = (begin: number, end: number, shape: unknown = [(end - begin) / 4], dtype: unknown = 'F32') => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

test('reads back what it writes, aligned and always in the same order', async () => {
  const tensors = [
    { name: 'b', dtype: 'F32', shape: [2, 1], data: Float32Array.of(1, -2.5) },
    { name: 'half', dtype: 'F16', shape: [3], data: Float32Array.of(1, 2, 0.1) },
    { name: 'brain', dtype: 'BF16', shape: [1], data: Float32Array.of(-7) },
    { name: 'ids', dtype: 'I64', shape: [2], data: Int32Array.of(-100, 5) },
    { name: 'alpha', dtype: 'F32', shape: [], data: Float32Array.of(16) },
    { name: 'none', dtype: 'F32', shape: [0, 4], data: new Float32Array(0) },
    { name: '__proto__', dtype: 'U8', shape: [1], data: Uint8Array.of(9) },
  ] as const;
  const bytes = writeSafetensors(tensors, { format: 'pt' });
  expect(writeSafetensors([...tensors].reverse(), { format: 'pt' })).toEqual(bytes);
  const { tensors: entries, metadata } = await parse(bytes);
  expect(metadata).toEqual({ format: 'pt' });
  expect([...entries.keys()].sort()).toEqual(tensors.map(({ name }) => name).sort());
  for (const { name, dtype, shape } of tensors) {
    const entry = entries.get(name)!;
    expect([entry.dtype, entry.shape]).toEqual([dtype, shape]);
    expect(entry.begin % ({ F32: 4, F16: 2, BF16: 2, I64: 8, U8: 1 } as const)[dtype]).toBe(0);
  }
  const half = entries.get('half')!;
  expect(decodeFloats(bytes.subarray(half.begin, half.end), half.dtype)[2]).toBe(0.0999755859375);
});

test('the writer refuses what would not be a sound file', () => {
  const one = { name: 'a', dtype: 'F32', shape: [1], data: Float32Array.of(1) } as const;
  expect(() => writeSafetensors([one, one])).toThrow('Two tensors are called a');
  expect(() => writeSafetensors([{ ...one, shape: [2] }])).toThrow('takes 8 bytes, got 4');
});

describe('a lying or broken file is refused with a sentence that names it', () => {
  const deep = `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
  const cases: [string, Uint8Array<ArrayBuffer>, string][] = [
    ['empty', new Uint8Array(0), 'it has only 0 bytes'],
    [
      '2^60 of header',
      file({}, 0, 2n ** 60n),
      'its header claims 1152921504606846976 bytes, more than the allowed 100 MB',
    ],
    ['2^64-1 of header', file({}, 0, 2n ** 64n - 1n), 'more than the allowed 100 MB'],
    ['header beyond the file', file({}, 0, 500n), 'its header claims 500 bytes, but the file ends after 10'],
    ['not JSON', file('{"a":', 0), 'its header is not valid JSON'],
    [
      'not UTF-8',
      file('', 0).length ? Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0xff) : new Uint8Array(0),
      'not valid JSON in UTF-8',
    ],
    ['a list', file('[]', 0), 'its header is not a JSON object'],
    ['deeply nested', file(deep, 0), 'model.safetensors in “base” is not a sound safetensors file'],
    ['a tensor that is no object', file({ a: 3 }, 0), 'tensor “a” is not described'],
    ['unknown dtype', file({ a: tensor(0, 4, [1], 'F33') }, 4), 'tensor “a” has the unknown dtype “F33”'],
    ['dtype from the prototype', file({ a: tensor(0, 4, [1], 'constructor') }, 4), 'the unknown dtype “constructor”'],
    ['dtype missing', file({ a: { shape: [1], data_offsets: [0, 4] } }, 4), 'the unknown dtype nothing'],
    ['negative size', file({ a: tensor(0, 4, [-1]) }, 4), 'has the shape [-1]'],
    ['fractional size', file({ a: tensor(0, 4, [0.5, 2]) }, 4), 'has the shape [0.5,2]'],
    ['size beyond 2^53', file('{"a":{"dtype":"U8","shape":[1e300],"data_offsets":[0,4]}}', 4), 'not a list of sizes'],
    [
      'sizes that overflow',
      file({ a: tensor(0, 4, [2 ** 40, 2 ** 40]) }, 4),
      'of shape [1099511627776, 1099511627776]',
    ],
    ['no shape', file({ a: tensor(0, 4, 'x') }, 4), 'has the shape “x”'],
    ['one offset', file({ a: { dtype: 'F32', shape: [1], data_offsets: [0] } }, 4), 'not two positions'],
    ['negative offset', file({ a: tensor(-4, 0, [1]) }, 4), 'not two positions'],
    ['offset of 2^60', file({ a: tensor(0, 2 ** 60, [1]) }, 4), 'not two positions'],
    ['end before begin', file({ a: tensor(4, 0, [1]) }, 4), 'tensor “a” ends (0) before it begins (4)'],
    ['end outside', file({ a: tensor(0, 8) }, 4), 'tensor “a” ends at byte 8, but the file holds only 4'],
    ['size and shape disagree', file({ a: tensor(0, 8, [1]) }, 8), 'takes 4 bytes, but 8 are set aside'],
    ['overlap', file({ a: tensor(0, 8), b: tensor(4, 12) }, 12), 'the bytes of tensors “a” and “b” overlap'],
    ['the same bytes twice', file({ a: tensor(0, 8), b: tensor(0, 8) }, 8), 'overlap'],
    ['a hole', file({ a: tensor(0, 4), b: tensor(8, 12) }, 12), '4 bytes before tensor “b” belong to no tensor'],
    ['bytes at the end', file({ a: tensor(0, 4) }, 9), '5 bytes at its end belong to no tensor'],
    [
      'a name twice',
      file(`{"a":${JSON.stringify(tensor(0, 4))},"\\u0061":${JSON.stringify(tensor(0, 4))}}`, 4),
      '“a” stands in it twice',
    ],
    ['metadata of numbers', file({ __metadata__: { step: 3 } }, 0), 'its metadata field “step” is not a string'],
    ['metadata as text', file({ __metadata__: 'x' }, 0), 'its metadata is not a JSON object'],
  ];
  test.each(cases)('%s', async (_, bytes, words) => {
    const error = await parse(bytes).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toContain(words);
    expect((error as UserError).message).toContain('model.safetensors in “base”');
    expect((error as UserError).message.length).toBeLessThan(500);
  });
});

test('every truncation of a sound file is noticed', async () => {
  const whole = writeSafetensors([
    { name: 'a', dtype: 'F32', shape: [3], data: Float32Array.of(1, 2, 3) },
    { name: 'b', dtype: 'U8', shape: [5], data: new Uint8Array(5) },
  ]);
  for (let length = 0; length < whole.length; length++) {
    await expect(parse(whole.slice(0, length)), `${length} bytes`).rejects.toBeInstanceOf(UserError);
  }
  await expect(parse(whole)).resolves.toBeDefined();
});

test('long metadata is read without trouble', async () => {
  const notes = '"\\é'.repeat(1_000_000);
  expect((await parse(writeSafetensors([], { notes }))).metadata['notes']).toBe(notes);
});
