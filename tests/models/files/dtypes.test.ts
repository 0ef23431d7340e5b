import { expect, test } from 'vitest';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../../src/common/half-floats.ts';
import { decodeFloats, decodeIntegers, isSafetensorsDtype } from '../../../src/models/files/dtypes.ts';
import { fixture } from '../../support/disk-folder.ts';

const { f32, bf16, f16 } = fixture<{ f32: number[]; bf16: number[]; f16: number[] }>('formats/floats.json');
const values = new Float32Array(Uint32Array.from(f32).buffer);

/** Which NaN it is does not matter. */
function differences(mine: Uint16Array, theirs: readonly number[], isNaN: (bits: number) => boolean): string[] {
  return theirs.flatMap((bits, i) =>
    mine[i] === bits || (isNaN(bits) && isNaN(mine[i]!)) ? [] : [`value ${i}: ${mine[i]} in place of ${bits}`],
  );
}

test('rounds to bfloat16 and half as torch does', () => {
  expect(f32.length).toBeGreaterThan(600);
  expect(differences(f32ToBf16(values), bf16, (bits) => (bits & 0x7fff) > 0x7f80)).toEqual([]);
  expect(differences(f32ToF16(values), f16, (bits) => (bits & 0x7fff) > 0x7c00)).toEqual([]);
});

test('every half and bfloat16 survives the way through float32', () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
  expect(differences(f32ToF16(f16ToF32(all)), [...all], (bits) => (bits & 0x7fff) > 0x7c00)).toEqual([]);
  expect(differences(f32ToBf16(bf16ToF32(all)), [...all], (bits) => (bits & 0x7fff) > 0x7f80)).toEqual([]);
});

test('decodes from any address and refuses what is not a number of the asked kind', () => {
  const shifted = new Uint8Array(13);
  shifted.set(new Uint8Array(Float32Array.of(1.5, -2, 1e-40).buffer), 1);
  expect([...decodeFloats(shifted.subarray(1), 'F32')]).toEqual([1.5, -2, Math.fround(1e-40)]);
  expect([...decodeFloats(new Uint8Array(Float64Array.of(0.1).buffer), 'F64')]).toEqual([Math.fround(0.1)]);
  expect([...decodeIntegers(new Uint8Array(BigInt64Array.of(-100n, 7n).buffer), 'I64')]).toEqual([-100, 7]);
  expect(() => decodeIntegers(new Uint8Array(BigInt64Array.of(2n ** 31n).buffer), 'I64', 'Tensor “x”')).toThrow(
    'Tensor “x” holds 2147483648 at position 0, which is beyond 32 bits.',
  );
  expect(() => decodeFloats(new Uint8Array(4), 'I32', 'Tensor “x”')).toThrow('Tensor “x” is stored as I32');
  expect(() => decodeIntegers(new Uint8Array(4), 'F32', 'Tensor “x”')).toThrow('Tensor “x” is stored as F32');
  expect(isSafetensorsDtype('toString')).toBe(false);
});
