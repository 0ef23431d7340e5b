import { readPeftFolder } from '../../adapters/peft.ts';
import { isJsonObject } from '../../common/json.ts';
import { readJson } from '../../models/files/folder.ts';
import { MusicgenCheckpoint } from '../../models/musicgen/checkpoint.ts';
import { adapterOfState, decodeRunState } from '../../training/checkpoint.ts';
import { peftFolder } from '../adapted-model.ts';
import type { Kind } from '../kind.ts';
import { SoundModel } from './model.ts';
import type { SoundBaseFacts } from './types.ts';

export const soundKind: Kind<SoundModel> = {
  task: 'sound',
  does: 'plays music',
  wanted: 'one that plays music',
  async recognises(folder) {
    if (!folder.files.includes('config.json') || folder.files.includes('model_index.json')) return 'no';
    const config = await readJson(folder, 'config.json');
    return isJsonObject(config) && config['model_type'] === 'musicgen' ? 'certain' : 'no';
  },
  load: (device, folder, options) => SoundModel.load(device, folder, options),
  async describe(folder): Promise<SoundBaseFacts> {
    const { decoder, audio } = (await MusicgenCheckpoint.open(folder)).config;
    return { sampleRate: audio.sampleRate, channels: decoder.channels };
  },
  exportFiles: async (checkpoint, { baseName }) =>
    peftFolder(adapterOfState(await decodeRunState(checkpoint)), baseName),
  readAdapter: (folder) => readPeftFolder(folder, { embeddings: true }),
};
