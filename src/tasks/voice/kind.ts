import { readPeftFolder } from '../../adapters/peft.ts';
import { adapterOfState, decodeRunState } from '../../training/checkpoint.ts';
import { peftFolder } from '../adapted-model.ts';
import type { Kind } from '../kind.ts';
import { VoiceModel } from './model.ts';

export const voiceKind: Kind<VoiceModel> = {
  task: 'voice',
  does: 'is a chat model',
  wanted: 'a chat model',
  // A language model has its configuration at the top; an image model has a folder for each component, or is one file.
  recognises: async ({ files }) =>
    files.includes('config.json') && !files.includes('model_index.json') && !files.includes('unet/config.json')
      ? 'possible'
      : 'no',
  load: (device, folder, options) => VoiceModel.load(device, folder, options),
  exportFiles: async (checkpoint, { baseName }) =>
    peftFolder(adapterOfState(await decodeRunState(checkpoint)), baseName),
  readAdapter: (folder) => readPeftFolder(folder),
};
