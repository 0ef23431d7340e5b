import { UserError } from '../../common/errors.ts';
import { fetchExample, makeProject, type Example } from '../example.ts';
import { sounds } from './dataset.svelte.ts';

export async function makeSoundExample(): Promise<string> {
  const { example, files } = await fetchExample<Example & { triggerWord: string }>('sound');
  return makeProject('sound', example, async (id) => {
    await sounds.open(id);
    await sounds.setAllWords({ triggerWord: example.triggerWord });
    if (!(await sounds.addFiles(files))) throw new UserError(sounds.error);
    // They are alike on purpose: one dance, played again and again.
    const left = sounds.clips.filter(({ kept }) => !kept).map(({ id: clip }) => clip);
    if (left.length > 0) await sounds.keep(left, true);
  });
}
