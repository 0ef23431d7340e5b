import type { Clip, SoundFile, Waveform } from '../datasets/sound/types.ts';
import { database, keysOf } from './database.ts';
import { withStorageErrors } from './errors.ts';
import type { DatasetRecord, SoundFileRecord } from './records.ts';

/** The songs of a data set and the clips of them, in order. */
export async function readSounds(datasetId: string): Promise<{ files: SoundFile[]; clips: Clip[] }> {
  const { files = [], clips = [] } = (await (await database()).get('soundRows', datasetId)) ?? {};
  return { files, clips };
}

/** A song's bytes as they came; undefined where it is gone. Read in slices: it may be larger than memory. */
export async function readSoundFile(datasetId: string, id: string): Promise<Blob | undefined> {
  return (await (await database()).get('soundFiles', [datasetId, id]))?.file;
}

export async function readWaveform(datasetId: string, id: string): Promise<Waveform | undefined> {
  return (await (await database()).get('soundFiles', [datasetId, id]))?.waveform;
}

/** Keeps the bytes of a song. They count only when writeSounds names them. */
export async function writeSoundFile(file: SoundFileRecord): Promise<void> {
  await withStorageErrors('the song', async () => {
    await (await database()).put('soundFiles', file);
  });
}

/** Writes songs and clips as they are now, and the record that counts them, in one transaction. */
export async function writeSounds(
  record: DatasetRecord,
  files: readonly SoundFile[],
  clips: readonly Clip[],
): Promise<void> {
  await withStorageErrors('the change', async () => {
    const write = (await database()).transaction(['soundRows', 'datasets'], 'readwrite');
    await Promise.all([
      write.objectStore('soundRows').put({ datasetId: record.id, files: [...files], clips: [...clips] }),
      write.objectStore('datasets').put(record),
      write.done,
    ]);
  });
}

/** Drops the files that no song names any more: a removed song stays while its removal can be undone. */
export async function dropUnusedSounds(datasetId: string, files: readonly SoundFile[]): Promise<void> {
  const db = await database();
  const wanted = new Set(files.map(({ id }) => id));
  for (const key of await db.getAllKeys('soundFiles', keysOf(datasetId))) {
    if (!wanted.has(key[1])) await db.delete('soundFiles', key);
  }
}
