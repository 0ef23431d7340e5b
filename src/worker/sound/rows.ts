import type { Clip, SoundFile } from '../../datasets/sound/types.ts';
import { DatasetRows } from '../../storage/datasets.ts';

/** The rows of a sound: its songs, then the clips of them. */
type SoundRow = SoundFile | Clip;

const isClip = (row: SoundRow): row is Clip => 'fileId' in row;
const isSong = (row: SoundRow): row is SoundFile => !isClip(row);

export const soundRows = new DatasetRows<SoundRow>({
  characters: (row) => (isClip(row) ? row.words.length : 0),
  key: ({ id }) => id,
});

/** Songs and clips as they lie together, told apart. */
export function songsAndClips(rows: readonly SoundRow[]): { files: SoundFile[]; clips: Clip[] } {
  return { files: rows.filter(isSong), clips: rows.filter(isClip) };
}
