import { soundSource } from '../../datasets/sound/clips.ts';
import { blobInput } from '../../datasets/sound/input.ts';
import type { SoundInput, SoundSource } from '../../datasets/sound/types.ts';
import { UserError } from '../../common/errors.ts';
import type { ProjectRecord } from '../../storage/records.ts';
import { readFile } from '../../storage/datasets.ts';
import { songsAndClips, soundRows } from './rows.ts';

/** The bytes of a song of a data set; read in slices. */
export async function songInput(datasetId: string, id: string, name: string): Promise<SoundInput> {
  const blob = (await readFile(datasetId, id))?.file;
  if (!blob) throw new UserError(`The song “${name}” is gone. Remove it under Data, or add it again.`);
  return blobInput(name, blob);
}

/** The kept clips of a project in order, their samples read one clip at a time when they are asked for. */
export async function soundSources({ datasetId }: Pick<ProjectRecord, 'datasetId'>): Promise<SoundSource[]> {
  const { clips } = songsAndClips(datasetId === null ? [] : await soundRows.read(datasetId));
  const kept = clips.filter((clip) => clip.kept);
  if (datasetId === null || kept.length === 0) {
    throw new UserError('There is nothing to learn from yet. Add music under Data, and keep some clips of it.');
  }
  return Promise.all(kept.map((clip) => soundSource(clip, () => songInput(datasetId, clip.fileId, clip.file))));
}
