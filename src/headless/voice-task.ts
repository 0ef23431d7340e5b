import { loraTensorData, readPeftFolder } from '../adapters/peft.ts';
import type { Message } from '../datasets/voice/rows.ts';
import { importFiles } from '../datasets/voice/import/import.ts';
import type { Device } from '../engine/device.ts';
import { UserError } from '../common/errors.ts';
import { readPreparedBatch } from '../tasks/voice/examples.ts';
import { VoiceModel } from '../tasks/voice/model.ts';
import type { LearningData } from '../tasks/voice/model.ts';
import { NodeFolder, sourceFiles } from './files.ts';
import type { Job } from './job.ts';
import { optionalNumbers } from './job.ts';
import type { HeadlessTask } from './task.ts';
import { learningTask } from './task.ts';

/** A job's `generate` block as a request. */
function generateRequest(block: Record<string, unknown>) {
  const { max_new_tokens = 64, ...optional } = optionalNumbers(block, [
    'max_new_tokens',
    'temperature',
    'top_k',
    'top_p',
    'seed',
  ]);
  const { prompt, messages } = block;
  if (prompt !== undefined && typeof prompt !== 'string') throw new UserError('generate.prompt must be text.');
  if (messages !== undefined && !Array.isArray(messages)) throw new UserError('generate.messages must be a list.');
  return {
    ...(prompt !== undefined && { prompt }),
    ...(messages !== undefined && { messages: messages as Message[] }),
    max_new_tokens,
    do_sample: block['do_sample'] === true,
    ...optional,
  };
}

export async function openVoice(job: Job, device: Device): Promise<HeadlessTask> {
  const model = await VoiceModel.load(device, new NodeFolder(job.base), { precision: job.precision });
  const from = job.from === undefined ? undefined : await readPeftFolder(new NodeFolder(job.from));
  return {
    ...learningTask<LearningData>(job, {
      model,
      from,
      prepared: async (folder, file) => ({ examples: await readPreparedBatch(folder, file, model.info.vocabSize) }),
      imported: async (path) => ({ rows: (await importFiles(sourceFiles(path))).rows }),
      named: loraTensorData,
    }),
    adapterFiles: () => model.exportAdapter(job.base),
    async generate() {
      await model.useAdapter(from ?? null);
      const request = generateRequest(job.generate);
      let text = '';
      const tokenIds: number[] = [];
      for await (const chunk of model.generate(request)) {
        text += chunk.text;
        tokenIds.push(...chunk.tokenIds);
      }
      const printed = { text, token_ids: tokenIds, ...request };
      return { files: [['generated.json', `${JSON.stringify(printed, null, 2)}\n`]], printed };
    },
  };
}
