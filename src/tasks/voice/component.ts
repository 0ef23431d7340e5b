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
  const { base } = model;
  const adapter = model.adapterBuffers;
  const resources = { weights: base, ...(adapter && { adapter }) };
  const program = await Program.build(base.device, base.planOf(graph), resources);
  try {
    const logits = new Float32Array(sequences.length * length * vocabSize);
    for (const [row, sequence] of sequences.entries()) {
      const { inputs } = makeBatch([sequence], 1, length, base.lm.keyRanges);
      const outputs = await program.run(inputs, IDLE_STEP);
      logits.set(outputs['logits']!, row * length * vocabSize);
    }
    return [{ name: 'logits', dtype: 'F32', shape: [sequences.length, length, vocabSize], data: logits }];
  } finally {
    program.destroy();
  }
}
