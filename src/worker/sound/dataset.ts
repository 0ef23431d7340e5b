import type { NamedFile } from '../../common/named-file.ts';
import { hearClip, moveEdges } from '../../datasets/sound/clips.ts';
import { joinReports } from '../../datasets/report.ts';
import { importSounds, type SoundImport } from '../../datasets/sound/import-sounds.ts';
import { blobInput } from '../../datasets/sound/input.ts';
import { settleClips } from '../../datasets/sound/judge.ts';
import { soundQuality, type SoundQuality } from '../../datasets/sound/quality.ts';
import type { Clip, SoundFile, SoundInput, SoundReport, SoundWords } from '../../datasets/sound/types.ts';
import { DEFAULT_SOUND_WORDS } from '../../datasets/sound/words.ts';
import { UserError } from '../../common/errors.ts';
import { newId } from '../../storage/database.ts';
import { dropUnusedFiles, writeFile } from '../../storage/datasets.ts';
import type { DatasetRecord } from '../../storage/records.ts';
import type { DatasetKind, DatasetState, DatasetTypes } from '../dataset-kind.ts';
import { applySoundChange, withClip, type EdgeChange, type SoundChange, type SoundSnapshot } from './changes.ts';
import { songsAndClips, soundRows } from './rows.ts';
import { songInput } from './sources.ts';

export interface SoundState extends DatasetState {
  files: readonly SoundFile[];
  clips: readonly Clip[];
  words: SoundWords;
  quality: SoundQuality;
}

export interface SoundTypes extends DatasetTypes {
  snapshot: SoundSnapshot;
  /** Songs and clips in the chunks in which they lie. */
  disk: (SoundFile | Clip)[][];
  change: SoundChange;
  options: Record<never, never>;
  input: readonly NamedFile[];
  item: never;
  report: SoundReport;
  state: SoundState;
}

export function songOf({ files }: SoundSnapshot, id: string): SoundFile {
  const file = files.find((one) => one.id === id);
  if (!file) throw new UserError('This song is no longer in the set. Reload the page.');
  return file;
}

export function clipOf({ clips }: SoundSnapshot, id: string): Clip {
  const clip = clips.find((one) => one.id === id);
  if (!clip) throw new UserError('This clip is no longer in the set. Reload the page.');
  return clip;
}

/** The bytes of a song of a set. */
export function inputOf(record: DatasetRecord | null, { id, name }: SoundFile): Promise<SoundInput> {
  return songInput(record?.id ?? '', id, name);
}

/** Listens to a stretch that was drawn or dragged. */
async function hear(now: SoundSnapshot, change: EdgeChange, record: DatasetRecord | null): Promise<Clip> {
  if (change.kind === 'edges') {
    const clip = clipOf(now, change.id);
    const file = songOf(now, clip.fileId);
    return moveEdges(await inputOf(record, file), file, clip, change, now.words);
  }
  const file = songOf(now, change.fileId);
  return hearClip(await inputOf(record, file), file, newId(), change, now.words);
}

/** What all imports together understood. */
function joined(before: SoundReport | undefined, report: SoundReport): SoundReport {
  return { ...joinReports(before, report), seconds: (before?.seconds ?? 0) + report.seconds };
}

export const soundDataset: DatasetKind<SoundTypes> = {
  empty: () => ({ files: [], clips: [], words: DEFAULT_SOUND_WORDS }),

  async read(record) {
    const disk = await soundRows.readChunks(record.id);
    const { files, clips } = songsAndClips(disk.flat());
    await dropUnusedFiles(record.id, files);
    return { snapshot: { files, clips, words: record.words ?? DEFAULT_SOUND_WORDS }, disk };
  },

  write: (record, { files, clips }, disk) => soundRows.write(record, disk, [...files, ...clips]),

  describe({ files, clips, words }) {
    const kept = clips.filter((clip) => clip.kept);
    return {
      rowCount: kept.length,
      characters: kept.reduce((sum, clip) => sum + clip.words.length, 0),
      seconds: kept.reduce((sum, { start, end }) => sum + end - start, 0),
      fileBytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      words,
    };
  },

  async change(now, change, { record }) {
    const listens = change.kind === 'edges' || change.kind === 'add';
    const after = listens ? { clips: withClip(now, await hear(now, change, record)) } : applySoundChange(now, change);
    // Whether a clip is there twice depends on all of them.
    return after.clips ? { ...after, clips: settleClips(after.clips) } : after;
  },

  /** Each song is kept as soon as it was heard; all songs of one import are one step of the history. */
  async import(before, named, { signal, onProgress, record, keep }) {
    const { id: datasetId, sounds } = await record();
    const blobs = new Map<SoundInput, Blob>();
    const inputs = named.map(({ name, file }) => {
      const input = blobInput(name, file);
      blobs.set(input, file);
      return input;
    });
    const grow = ({ files, clips, report }: SoundImport): Promise<void> => {
      const count = clips.length - before.clips.length;
      const label = `Add ${count} ${count === 1 ? 'clip' : 'clips'}`;
      return keep({ sounds: joined(sounds, report) }, { label, fields: { files, clips } });
    };
    const { report } = await importSounds(
      inputs,
      {
        existing: before,
        words: before.words,
        signal,
        async keep(file, input, waveform, soFar) {
          await writeFile({ datasetId, id: file.id, file: blobs.get(input)!, waveform }, 'the song');
          await grow(soFar());
        },
      },
      ({ fraction, file, clips: count }) => onProgress({ fraction, file, count }),
    );
    // What was left out after the last song.
    await keep({ sounds: joined(sounds, report) });
    return report;
  },

  size: ({ files }) => files.length,

  state: ({ files, clips, words }) => ({ files, clips, words, quality: soundQuality(files, clips) }),
};
