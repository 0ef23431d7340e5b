import { SHADERS } from 'virtual:shaders';
import type { WeightFormat, WeightType } from '../../src/engine/weight-formats.ts';
import { WEIGHT_FORMATS } from '../../src/engine/weight-formats.ts';

/** Bytes with a scale (and an offset) a group: the smallest format that has all that a format may have. */
export function byteFormat(size: number, offsets: boolean): WeightFormat {
  return {
    block: 1,
    blockBytes: 1,
    group: { size, offsets },
    encode(values) {
      const groups = Math.ceil(values.length / size);
      const bytes = new Uint8Array(values.length);
      const scales = new Float32Array(groups * (offsets ? 2 : 1));
      for (let g = 0; g < groups; g++) {
        const group = values.subarray(g * size, (g + 1) * size);
        const least = offsets ? Math.min(...group) : 0;
        const scale = offsets ? (Math.max(...group) - least) / 255 : Math.max(...group.map(Math.abs)) / 127;
        scales.set(offsets ? [scale, least] : [scale], g * (offsets ? 2 : 1));
        group.forEach((value, i) => (bytes[g * size + i] = Math.round((value - least) / (scale || 1))));
      }
      return { bytes, scales };
    },
  };
}

/** What kernels read of such weights, in float64 from the same bytes and f32 scales. */
export function decodeBytes(format: WeightFormat, values: Float32Array<ArrayBuffer>): Float64Array {
  const piece = format.encode(values);
  if (piece instanceof Uint8Array || !format.group) throw new Error('a format without groups');
  const { bytes, scales } = piece;
  const { size, offsets } = format.group;
  return Float64Array.from(bytes, (code, i) => {
    const g = Math.floor(i / size);
    return offsets ? code * scales[2 * g]! + scales[2 * g + 1]! : ((code << 24) >> 24) * scales[g]!;
  });
}

/** shaders/weight_NAME.wgsl of these formats. */
function reading(offsets: boolean): string {
  const extend = offsets ? '' : 'i32';
  const word = (shift: string): string =>
    offsets
      ? `f32(($BUFFER[i WORD] >> ${shift}) & 255u)`
      : `f32(extractBits(${extend}($BUFFER[i WORD]), ${shift}, 8u))`;
  const four = ['0u', '8u', '16u', '24u'].map((shift) => word(shift).replace('i WORD', 'i')).join(', ');
  return [
    '#buffer $BUFFER: array<u32>, read',
    '#if VECTOR == 4',
    `fn $(BUFFER)_$READ(i: u32) -> vec4f { return vec4f(${four}); }`,
    '#else',
    `fn $(BUFFER)_$READ(i: u32) -> f32 { return ${word('((i & 3u) * 8u)').replace('i WORD', 'i >> 2u')}; }`,
    '#endif',
  ].join('\n');
}

/** Runs `body` with a format of this name among the engine's; it is known to nobody afterwards. */
export async function withByteFormat<R>(format: WeightFormat, body: (type: WeightType) => R | Promise<R>): Promise<R> {
  const name = 'test_bytes';
  const formats = WEIGHT_FORMATS as Record<string, WeightFormat>;
  const shaders = SHADERS as Record<string, string>;
  formats[name] = format;
  shaders[`weight_${name}`] = reading(format.group!.offsets);
  try {
    return await body(name as WeightType);
  } finally {
    Reflect.deleteProperty(formats, name);
    Reflect.deleteProperty(shaders, `weight_${name}`);
  }
}
