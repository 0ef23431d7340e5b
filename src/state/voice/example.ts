import { UserError } from '../../common/errors.ts';
import { fetchExample, makeProject, type Example } from '../example.ts';
import { data } from './dataset.svelte.ts';

export async function makeVoiceExample(): Promise<string> {
  const { example, files } = await fetchExample<Example>('voice', 'persona.jsonl');
  return makeProject('voice', example, async (id) => {
    await data.open(id);
    if (!(await data.addFiles(files.map(({ file }) => file as File)))) throw new UserError(data.error);
  });
}
