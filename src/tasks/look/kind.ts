import { DIFFUSERS_FILE, writeDiffusersLora } from '../../adapters/diffusers-lora.ts';
import { writeKohyaLora } from '../../adapters/kohya-lora.ts';
import { readLookAdapter } from '../../adapters/look-files.ts';
import { UserError } from '../../common/errors.ts';
import { openPictureModel } from '../../models/diffusion/registry.ts';
import { adapterOfState, decodeRunState } from '../../training/checkpoint.ts';
import type { Kind } from '../kind.ts';
import { LookModel } from './model.ts';
import type { LookBaseFacts } from './types.ts';

export const lookKind: Kind<LookModel> = {
  task: 'look',
  does: 'draws pictures',
  wanted: 'one that draws pictures',
  recognises: async ({ files }) =>
    files.includes('model_index.json') ||
    files.includes('unet/config.json') ||
    (!files.includes('config.json') && files.some((file) => file.endsWith('.safetensors')))
      ? 'certain'
      : 'possible',
  load: (device, folder, options) => LookModel.load(device, folder, options),
  async describe(folder): Promise<LookBaseFacts> {
    const { family, resolution, process } = await openPictureModel(folder);
    return { family, resolution, predictionType: process.predictionType };
  },
  /** kohya's file and diffusers'. */
  async exportFiles(checkpoint, { name, baseName, triggerWord = '', preview }, base) {
    const state = await decodeRunState(checkpoint);
    const adapter = adapterOfState(state);
    if (adapter.config.use_dora)
      throw new UserError(
        'An adapter trained with DoRA has no file that the drawing programs read alike. Train it without.',
      );
    const { family, process, resolution, adapterNames } = await openPictureModel(await base());
    const facts = {
      name,
      base: { name: baseName },
      predictionType: process.predictionType,
      resolution: state.recipe.resolution || resolution,
      triggerPhrase: triggerWord,
      ...(preview && { preview: { type: 'image/png' as const, bytes: preview } }),
    };
    return new Map([
      ['kohya.safetensors', await writeKohyaLora(adapter, family, { ...adapterNames, facts })],
      [DIFFUSERS_FILE, writeDiffusersLora(adapter)],
    ]);
  },
  readAdapter: (folder, file, model) => readLookAdapter(folder, file, model.kohyaOptions),
};
