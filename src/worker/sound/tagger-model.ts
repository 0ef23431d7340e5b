import type { SoundTagger } from '../../datasets/sound/tagger.ts';
import { onnxModel, type OnnxModelSource } from '../onnx-model.ts';

/** What is proposed where nobody names another: 0.2 GB, Apache-2.0. */
export const PROPOSED_TAGGER = 'Xenova/clap-htsat-unfused';

/** Opens a model that hears what is in a sound. The library is loaded here, and only here. */
export async function openTags(source: OnnxModelSource, onProgress: (fraction: number) => void): Promise<SoundTagger> {
  const { openTagger } = await import('../../datasets/sound/tagger.ts');
  return openTagger(await onnxModel(source, onProgress));
}
