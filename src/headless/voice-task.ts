import { loraTensorData, readPeftFolder } from '../adapters/peft.ts';
import type { Adapter } from '../adapters/peft.ts';
import type { Message } from '../datasets/rows.ts';
import { importFiles } from '../datasets/import/import.ts';
import type { Device } from '../engine/device.ts';
import { UserError } from '../engine/errors.ts';
import { readPreparedBatch } from '../tasks/voice/examples.ts';
import { VoiceModel } from '../tasks/voice/voice.ts';
import type { LearningData } from '../tasks/voice/voice.ts';
import { NodeFolder, folderOf, sourceFiles } from './files.ts';
import type { Job } from './job.ts';
import { optionalNumbers } from './job.ts';
import type { HeadlessTask } from './task.ts';

async function startingAdapter(job: Job): Promise<Adapter | undefined> {
  return job.from === undefined ? undefined : readPeftFolder(new NodeFolder(job.from));
}

/** The rows or prepared batches that a job's `data` names. */
async function learningData(job: Job, model: VoiceModel): Promise<LearningData> {
  if (job.data === undefined) throw new UserError('The job names no data.');
  if (job.data.endsWith('.safetensors')) {
    const { folder, file } = folderOf(job.data);
    return { examples: await readPreparedBatch(folder, file, model.info.vocabSize) };
  }
  const { rows } = await importFiles(sourceFiles(job.data));
  return { rows };
}

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
  const from = await startingAdapter(job);
  return {
    async train(settle) {
      const data = await learningData(job, model);
      return model.train({ ...data, recipe: job.recipe, adapter: job.lora, settle, ...(from && { from }) });
    },
    async gradients() {
      return [...(await model.currentGradients())].flatMap(([module, tensors]) => loraTensorData(module, tensors));
    },
    adapterFiles: () => model.exportAdapter(job.base),
    async plan() {
      const data = await learningData(job, model);
      return model.plan({ ...data, recipe: job.recipe, adapter: from?.config ?? job.lora });
    },
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
