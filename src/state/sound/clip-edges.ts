import type { Clip, SoundFile } from '../../datasets/sound/types.ts';

/** A song with its clips, in order of time. */
export interface SongClips {
  file: SoundFile;
  clips: readonly Clip[];
}

export function clipsOfSongs(files: readonly SoundFile[], clips: readonly Clip[]): SongClips[] {
  const byFile = new Map<string, Clip[]>(files.map(({ id }) => [id, []]));
  for (const clip of clips) byFile.get(clip.fileId)?.push(clip);
  return files.map((file) => ({ file, clips: byFile.get(file.id)!.sort((a, b) => a.start - b.start) }));
}

/** Clips are up to so long, and a shorter stretch teaches little. */
const USUAL_SECONDS = 30;
const LEAST_SECONDS = 2;

/** The first stretch of a song where no clip is, at most as long as a clip usually is; null where none is left. */
export function freeStretch(
  seconds: number,
  clips: readonly Pick<Clip, 'start' | 'end'>[],
): { start: number; end: number } | null {
  let from = 0;
  const ends = [...clips].sort((a, b) => a.start - b.start);
  for (const { start, end } of [...ends, { start: seconds, end: seconds }]) {
    if (start - from >= LEAST_SECONDS) return { start: from, end: Math.min(start, from + USUAL_SECONDS) };
    from = Math.max(from, end);
  }
  return null;
}

/** The stretch around a clip that is shown for moving its edges: enough to find the phrase that it is cut from. */
export function closeUp(clip: Pick<Clip, 'start' | 'end'>, seconds: number): { from: number; to: number } {
  const around = Math.max(2, Math.min(15, (clip.end - clip.start) / 2));
  return { from: Math.max(0, clip.start - around), to: Math.min(seconds, clip.end + around) };
}
