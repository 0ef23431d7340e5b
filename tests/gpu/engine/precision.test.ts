import { describe, expect } from 'vitest';
import { MemoryFolder } from '../../../src/models/files/folder.ts';
import { f32ToBf16 } from '../../../src/common/half-floats.ts';
import { writeSafetensors } from '../../../src/models/files/safetensors.ts';
import type { TensorData } from '../../../src/models/files/safetensors.ts';
import { runComponent } from '../../../src/tasks/voice/component.ts';
import type { VoiceModel } from '../../../src/tasks/voice/model.ts';
import { FAMILIES, familyDevice, relativeError, tinyFolder, withModel } from './support.ts';
import { seeded } from '../../support/seeds.ts';

const ids = BigInt64Array.of(1n, 7n, 60n, 3n, 3n);
const batch = new MemoryFolder(
  'batch',
  new Map([
    [
      'batch.safetensors',
      writeSafetensors([
        { name: 'input_ids', dtype: 'I64', shape: [1, 5], data: ids },
        { name: 'attention_mask', dtype: 'I64', shape: [1, 5], data: ids.map(() => 1n) },
      ]),
    ],
  ]),
);

/** Norms stay f32 on the device: rounded in this file already, they are those of the other. */
const roundNorms = (tensors: TensorData[]): TensorData[] =>
  tensors.map((tensor) => {
    if (!tensor.name.endsWith('norm.weight') || tensor.dtype !== 'F32') return tensor;
    const bits = Uint32Array.from(f32ToBf16(tensor.data as Float32Array<ArrayBuffer>), (half) => half << 16);
    return { ...tensor, data: new Float32Array(bits.buffer) };
  });

async function logits(model: VoiceModel): Promise<Float32Array> {
  const [output] = await runComponent(model, 'model', batch, 'batch.safetensors');
  return output!.data as Float32Array;
}

describe.each(FAMILIES)('precision of a base, %s family', (family) => {
  seeded.each([{}, { hidden_size: 64, head_dim: 16, intermediate_size: 64 }])(
    'rounded when it is loaded, or rounded in the file: the same bits, half the bytes (%j)',
    async ({ seed, note }, config) => {
      const device = await familyDevice(family);
      const results = new Map<string, { values: Float32Array; bytes: number }>();
      for (const [name, dtype, precision] of [
        ['f32', 'F32', 'stored'],
        ['bf16 file', 'BF16', 'stored'],
        ['to bf16', 'F32', 'bf16'],
        ['to f16', 'F32', 'f16'],
        ['bf16 file to f32', 'BF16', 'f32'],
      ] as const) {
        await withModel(
          device,
          tinyFolder({ seed, dtype, config, edit: roundNorms }),
          async (model) => {
            results.set(name, { values: await logits(model), bytes: model.base.bytes });
          },
          precision,
        );
      }
      const of = (name: string) => results.get(name)!;
      expect(of('to bf16').values, note).toEqual(of('bf16 file').values);
      // The same weights, unpacked before or in the product: other orders of the same sums. f16 rounds a weight by 2^-11 and bf16 by
      // 2^-8 at most, at random, half as much on average; ten products one after the other add up to √10 times that.
      expect(relativeError(of('bf16 file to f32').values, of('bf16 file').values), note).toBeLessThan(2e-6);
      expect(relativeError(of('to f16').values, of('f32').values), note).toBeLessThan(3e-3);
      expect(relativeError(of('to bf16').values, of('f32').values), note).toBeLessThan(3e-2);
      expect(relativeError(of('to bf16').values, of('f32').values), note).toBeGreaterThan(1e-4);
      expect(of('to bf16').bytes).toBe(of('bf16 file').bytes);
      expect(of('to f16').bytes).toBeLessThan(0.7 * of('f32').bytes);
    },
  );
});
