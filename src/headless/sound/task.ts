import { loraTensorData } from '../../adapters/peft.ts';
import { wavBytes } from '../../datasets/sound/wav.ts';
import { UserError } from '../../common/errors.ts';
import { writeSafetensors } from '../../models/files/safetensors.ts';
import { framesOfSteps, requireSteps } from '../../models/musicgen/delay.ts';
import { runComponent } from '../../tasks/sound/component.ts';
import { readPreparedRows } from '../../tasks/sound/prepared.ts';
import type { SoundModel } from '../../tasks/sound/model.ts';
import type { SoundLearningData } from '../../tasks/sound/model.ts';
import type { Job } from '../job.ts';
import { optionalNumbers } from '../job.ts';
import { importSoundFiles, soundsOf } from './sounds.ts';
import type { HeadlessKind } from '../kind.ts';

/** A job's `generate` block; generation_config.json counts where it says nothing. */
function soundSettings(job: Job, model: SoundModel) {
  const block = job.generate;
  const given = optionalNumbers(block, ['max_new_tokens', 'guidance_scale', 'top_k', 'top_p', 'temperature', 'seed']);
  const { prompt, do_sample: doSample } = block;
  if (typeof prompt !== 'string') throw new UserError('generate.prompt is missing: the words to play.');
  if (doSample !== undefined && typeof doSample !== 'boolean')
    throw new UserError('generate.do_sample must be true or false.');
  const { generation, decoder } = model.base.config;
  const steps = given.max_new_tokens ?? generation.maxLength - 1;
  requireSteps(decoder, steps);
  return {
    prompt,
    max_new_tokens: steps,
    frames: framesOfSteps(decoder, steps),
    do_sample: doSample ?? generation.doSample,
    guidance_scale: given.guidance_scale ?? generation.guidanceScale,
    top_k: given.top_k ?? generation.topK,
    top_p: given.top_p ?? generation.topP,
    temperature: given.temperature ?? generation.temperature,
    seed: given.seed ?? 0,
  };
}

export const headlessSound: HeadlessKind<SoundModel, SoundLearningData> = {
  prepared: async (model, folder, file) => ({ prepared: await readPreparedRows(model.base, folder, file) }),
  imported: async (_model, path) => ({ clips: await soundsOf([path]) }),
  named: loraTensorData,
  adapterFiles: (model, job) => model.exportAdapter(job.base),
  runComponent,
  async generate(model, job) {
    const { frames, prompt, max_new_tokens, ...settings } = soundSettings(job, model);
    const { channels, codes, sampleRate } = await model.composeWhole(prompt, { ...settings, frames, strength: 1 });
    const { codebooks } = model.base.config.decoder;
    const audioCodes = { name: 'audio_codes', dtype: 'I64' as const, shape: [1, codebooks, frames], data: codes };
    const printed = { prompt, max_new_tokens, ...settings, frames, sampling_rate: sampleRate, file: '0.wav' };
    return {
      files: [
        ['0.wav', wavBytes(channels, sampleRate)],
        ['generated.safetensors', writeSafetensors([audioCodes])],
        ['generated.json', `${JSON.stringify(printed, null, 2)}\n`],
      ],
      printed,
    };
  },
  importFiles: importSoundFiles,
};
