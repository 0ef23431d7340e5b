import type { Clip, SoundFile, SoundWords } from '../../datasets/sound/types.ts';
import { clipWords } from '../../datasets/sound/words.ts';

/** Everything that curation changes, at one moment; never changed itself. */
export interface SoundSnapshot {
  files: readonly SoundFile[];
  clips: readonly Clip[];
  words: SoundWords;
}

/** What curation may set of a clip without listening to it again. */
export type ClipFields = Partial<Pick<Clip, 'kept' | 'words' | 'wordsByHand' | 'tagged'>>;

type Labelled<C> = C & { label: string };

/** What needs no listening. */
export type PlainSoundChange = Labelled<
  | { kind: 'set'; changes: readonly { id: string; fields: ClipFields }[] }
  | { kind: 'remove'; ids: readonly string[] }
  /** Songs with all their clips. */
  | { kind: 'removeFiles'; ids: readonly string[] }
  /** Words of these from the template again. */
  | { kind: 'template'; ids: readonly string[] }
  | { kind: 'words'; words: SoundWords }
>;

/** Seconds in the song; the clip is listened to for them. */
export type EdgeChange = Labelled<
  | { kind: 'edges'; id: string; start: number; end: number }
  | { kind: 'add'; fileId: string; start: number; end: number }
>;

export type SoundChange = PlainSoundChange | EdgeChange;

const fileOf = (files: readonly SoundFile[], { fileId }: Clip): SoundFile | undefined =>
  files.find(({ id }) => id === fileId);

/** Clips whose words were not written by hand, with what the template says of them now. */
export function withTemplate({ files, clips, words }: SoundSnapshot): Clip[] {
  return clips.map((clip) => {
    const said = clip.wordsByHand ? clip.words : clipWords(clip, fileOf(files, clip), words);
    return said === clip.words ? clip : { ...clip, words: said };
  });
}

/** What a change makes of the songs and clips. */
export function applySoundChange(before: SoundSnapshot, change: PlainSoundChange): Partial<SoundSnapshot> {
  const { files, clips } = before;
  switch (change.kind) {
    case 'set': {
      const fields = new Map(change.changes.map((one) => [one.id, one.fields]));
      const set = clips.map((clip) => ({ ...clip, ...fields.get(clip.id) }));
      // What a model heard may stand in the template.
      return { clips: withTemplate({ ...before, clips: set }) };
    }
    case 'remove': {
      const gone = new Set(change.ids);
      return { clips: clips.filter(({ id }) => !gone.has(id)) };
    }
    case 'removeFiles': {
      const gone = new Set(change.ids);
      return {
        files: files.filter(({ id }) => !gone.has(id)),
        clips: clips.filter(({ fileId }) => !gone.has(fileId)),
      };
    }
    case 'template': {
      const wanted = new Set(change.ids);
      const free = clips.map((clip) => (wanted.has(clip.id) ? { ...clip, wordsByHand: false } : clip));
      return { clips: withTemplate({ ...before, clips: free }) };
    }
    case 'words':
      return { words: change.words, clips: withTemplate({ ...before, words: change.words }) };
  }
}

/** The clips with one put in, in order of their songs and of time. */
export function withClip({ files, clips }: SoundSnapshot, clip: Clip): Clip[] {
  const place = new Map(files.map(({ id }, i) => [id, i]));
  return [...clips.filter(({ id }) => id !== clip.id), clip].sort(
    (a, b) => place.get(a.fileId)! - place.get(b.fileId)! || a.start - b.start,
  );
}
