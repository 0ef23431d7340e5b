import { UserError } from '../../common/errors.ts';
import { Program } from '../../engine/program.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { TensorData } from '../../models/files/safetensors.ts';
import { makeBatch, readTokenRows } from './examples.ts';
import { logitsGraph } from './graphs.ts';
import type { VoiceModel } from './model.ts';

/** Runs a part of the model by itself on tensors from a file, for comparison with the reference libraries. */
export async function runComponent(
  model: VoiceModel,
  component: string,
  folder: ModelFolder,
  file: string,
): Promise<TensorData[]> {
  if (component !== 'model') throw new UserError(`A voice has no component “${component}”. It has: model.`);
  const { vocabSize } = model.info;
  const { sequences, length } = await readTokenRows(folder, file, vocabSize);
  const graph = logitsGraph(model.base.graphOptions(model.hook), length);
  const { device, weights } = model.base;
  const adapter = model.adapterBuffers;
  const program = await Program.build(device, model.base.planOf(graph), { weights, ...(adapter && { adapter }) });
  try {
    const logits = new Float32Array(sequences.length * length * vocabSize);
    for (const [row, sequence] of sequences.entries()) {
      const { ids, positions, keyRanges } = makeBatch([sequence], 1, length).inputs;
      const outputs = await program.run({ ids: ids!, positions: positions!, keyRanges: keyRanges! }, IDLE_STEP);
      logits.set(outputs['logits']!, row * length * vocabSize);
    }
    return [{ name: 'logits', dtype: 'F32', shape: [sequences.length, length, vocabSize], data: logits }];
  } finally {
    program.destroy();
  }
}
