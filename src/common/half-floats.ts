// One scratch word: the bits of a number without allocating per element.
const word = new DataView(new ArrayBuffer(4));

/** The bfloat16 nearest to x (ties to even), as its 16 bits. A NaN stays one (quiet). */
export function bf16Bits(x: number): number {
  word.setFloat32(0, x);
  const bits = word.getUint32(0);
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x0040;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The IEEE half nearest to the float32 x (ties to even, subnormals included), as its 16 bits. Overflow gives infinity. */
export function f16Bits(x: number): number {
  word.setFloat32(0, x);
  const bits = word.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  // From 65520 on the nearest half would be 65536, which does not exist.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal: the result counts steps of 2^-24, which float64 holds exactly, halves included.
    const steps = Math.abs(word.getFloat32(0)) * 16777216;
    const below = Math.floor(steps);
    const rest = steps - below;
    return sign | (below + (rest > 0.5 || (rest === 0.5 && (below & 1) === 1) ? 1 : 0));
  }
  const rebased = magnitude - 0x38000000;
  return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13);
}

/** The number that 16 bits of a half stand for. */
export function f16Value(bits: number): number {
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

export function f32ToBf16(values: Float32Array): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(values, bf16Bits);
}

export function f32ToF16(values: Float32Array): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(values, f16Bits);
}

/** Exact: every bfloat16 is a float32. */
export function bf16ToF32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return new Float32Array(words.buffer);
}

/** Exact: every half is a float32. */
export function f16ToF32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(bits, f16Value);
}
