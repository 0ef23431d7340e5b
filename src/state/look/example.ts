import { UserError } from '../../common/errors.ts';
import { fetchExample, makeProject, type Example } from '../example.ts';
import { pictures } from './dataset.svelte.ts';
import { TASK } from './info.ts';

export async function makeLookExample(): Promise<string> {
  const { example, files } = await fetchExample<Example & { triggerWord: string; template: string }>(TASK);
  const { triggerWord, template } = example;
  return makeProject(TASK, example, async (id) => {
    await pictures.open(id);
    await pictures.setWords({ triggerWord, template });
    if (!(await pictures.addFiles(files))) throw new UserError(pictures.error);
  });
}
