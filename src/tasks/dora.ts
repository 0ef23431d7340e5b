import type { LoraTensors } from '../adapters/peft.ts';
import type { Checkpoint } from '../models/files/checkpoint.ts';
import { DTYPE_BYTES, decodeFloats } from '../models/files/dtypes.ts';

/** DoRA starts each magnitude at its weight row's length: with B = 0, ‖W + sBA‖ is ‖W‖. Rows are streamed. */
export async function doraMagnitudes(checkpoint: Checkpoint, tensors: Map<string, LoraTensors>): Promise<void> {
  for (const [module, lora] of tensors) {
    const entry = checkpoint.requireTensor(`${module}.weight`, [lora.outFeatures, lora.inFeatures]);
    const sums = new Float64Array(lora.outFeatures);
    let element = 0;
    for await (const { bytes } of checkpoint.chunks(
      `${module}.weight`,
      0,
      undefined,
      1024 * 1024 * DTYPE_BYTES[entry.dtype],
    )) {
      for (const value of decodeFloats(bytes, entry.dtype, `${module}.weight`)) {
        sums[Math.floor(element++ / lora.inFeatures)]! += value * value;
      }
    }
    lora.magnitude = Float32Array.from(sums, Math.sqrt);
  }
}
