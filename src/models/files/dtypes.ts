import { UserError } from '../../common/errors.ts';
import { bf16ToF32, f16ToF32 } from '../../common/half-floats.ts';

/** Bytes of one element of each dtype that a safetensors header may name. */
export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
} as const;

export type SafetensorsDtype = keyof typeof DTYPE_BYTES;

export function isSafetensorsDtype(value: unknown): value is SafetensorsDtype {
  return typeof value === 'string' && Object.hasOwn(DTYPE_BYTES, value);
}

/** A copy at a fresh, aligned address (a slice of a file may start anywhere). */
function aligned(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer;
}

/**
 * Little-endian bytes of a floating-point tensor as float32. F16 and BF16 are exact, F64 is rounded to nearest.
 * Throws UserError for any other dtype; `what` names the tensor in that message.
 */
export function decodeFloats(
  bytes: Uint8Array,
  dtype: SafetensorsDtype,
  what = 'This tensor',
): Float32Array<ArrayBuffer> {
  switch (dtype) {
    case 'F32':
      return new Float32Array(aligned(bytes));
    case 'F16':
      return f16ToF32(new Uint16Array(aligned(bytes)));
    case 'BF16':
      return bf16ToF32(new Uint16Array(aligned(bytes)));
    case 'F64':
      return Float32Array.from(new Float64Array(aligned(bytes)));
    default:
      throw new UserError(`${what} is stored as ${dtype}; F32, F16, BF16 or F64 was expected.`);
  }
}

/**
 * Little-endian bytes of an integer tensor as int32. Throws UserError for any other dtype and where an I64 does not
 * fit in 32 bits; `what` names the tensor in that message.
 */
export function decodeIntegers(
  bytes: Uint8Array,
  dtype: SafetensorsDtype,
  what = 'This tensor',
): Int32Array<ArrayBuffer> {
  switch (dtype) {
    case 'I32':
      return new Int32Array(aligned(bytes));
    case 'I64': {
      const wide = new BigInt64Array(aligned(bytes));
      const out = new Int32Array(wide.length);
      for (let i = 0; i < wide.length; i++) {
        const value = wide[i]!;
        if (value < -2147483648n || value > 2147483647n) {
          throw new UserError(`${what} holds ${value} at position ${i}, which is beyond 32 bits.`);
        }
        out[i] = Number(value);
      }
      return out;
    }
    default:
      throw new UserError(`${what} is stored as ${dtype}; I64 or I32 was expected.`);
  }
}
