import { loraTensorData } from '../../adapters/peft.ts';
import type { Message } from '../../datasets/voice/rows.ts';
import { rowsToJsonl } from '../../datasets/voice/rows.ts';
import { importFiles } from '../../datasets/voice/import/import.ts';
import { UserError } from '../../common/errors.ts';
import { runComponent } from '../../tasks/voice/component.ts';
import { readPreparedBatch } from '../../tasks/voice/examples.ts';
import type { VoiceModel } from '../../tasks/voice/model.ts';
import type { LearningData } from '../../tasks/voice/model.ts';
import { sourceFiles } from '../files.ts';
import { optionalNumbers } from '../job.ts';
import type { HeadlessKind } from '../kind.ts';

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

export const headlessVoice: HeadlessKind<VoiceModel, LearningData> = {
  prepared: async (model, folder, file) => ({ examples: await readPreparedBatch(folder, file, model.info.vocabSize) }),
  imported: async (_model, path) => ({ rows: (await importFiles(sourceFiles(path))).rows }),
  named: loraTensorData,
  adapterFiles: (model, job) => model.exportAdapter(job.base),
  runComponent,
  async generate(model, job) {
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
  async importFiles(paths) {
    const { rows, report } = await importFiles(paths.flatMap(sourceFiles));
    return { report, files: [['rows.jsonl', rowsToJsonl(rows)]] };
  },
};
