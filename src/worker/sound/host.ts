import { readClip } from '../../datasets/sound/clips.ts';
import type { SoundTagger } from '../../datasets/sound/tagger.ts';
import type { Clip } from '../../datasets/sound/types.ts';
import type { BundleClip } from '../../tasks/sound/bundle.ts';
import { DatasetHost } from '../dataset-host.ts';
import type { DatasetSession } from '../dataset-session.ts';
import type { OnnxModelSource } from '../onnx-model.ts';
import { encodeWav } from '../wav.ts';
import { clipOf, inputOf, songOf, soundDataset, type SoundState, type SoundTypes } from './dataset.ts';
import { openTags } from './tagger-model.ts';

export type { ClipFields, SoundChange } from './changes.ts';
export type { SoundState, SoundTypes } from './dataset.ts';

/** Samples a second at which clips are heard: what browsers play best. */
const HEARD_RATE = 48_000;

type OpenTagger = (source: OnnxModelSource, onProgress: (fraction: number) => void) => Promise<SoundTagger>;

/** A clip's samples as they are learnt, its loudness evened. */
async function samplesOf(
  { now, record }: DatasetSession<SoundTypes>,
  clip: Clip,
  rate: number,
  channels?: 1 | 2,
): Promise<Float32Array<ArrayBuffer>[]> {
  const file = songOf(now, clip.fileId);
  return readClip(await inputOf(record, file), clip, rate, channels ?? (file.channels === 1 ? 1 : 2));
}

/** The songs of sounds, and their clips. */
export class SoundHost extends DatasetHost<SoundTypes> {
  readonly #openTagger: OpenTagger;

  constructor(openTagger: OpenTagger = openTags) {
    super(soundDataset);
    this.#openTagger = openTagger;
  }

  /** A clip as it is learnt: a WAV. */
  heard(projectId: string, id: string): Promise<Blob> {
    return this.use(projectId, async (session) =>
      encodeWav(await samplesOf(session, clipOf(session.now, id), HEARD_RATE), HEARD_RATE),
    );
  }

  /**
   * Lets a model hear clips and note what it hears; one step of the history. `onProgress` hears how much of the model has
   * come, then how many clips are done. Returns how many were heard.
   */
  tag(
    projectId: string,
    ids: readonly string[],
    model: OnnxModelSource,
    onProgress: (what: 'model' | 'items', fraction: number) => void,
  ): Promise<{ state: SoundState; done: number }> {
    return this.use(projectId, (session) =>
      session.work('model', async (signal) => {
        const tagger = await this.#openTagger(model, (fraction) => onProgress('model', fraction));
        try {
          const heard = new Map<string, string[]>();
          for (const [i, id] of ids.entries()) {
            if (signal.aborted) break;
            onProgress('items', i / ids.length);
            const clip = session.now.clips.find((one) => one.id === id);
            // Removed meanwhile: there is nothing to hear.
            if (!clip) continue;
            const [samples] = await samplesOf(session, clip, tagger.sampleRate, 1);
            heard.set(id, await tagger.tags(samples!));
          }
          let done = 0;
          const state = await session.applyIf(({ clips }) => {
            const there = clips.filter(({ id }) => heard.has(id));
            done = there.length;
            const changes = there.map(({ id }) => ({ id, fields: { tagged: heard.get(id)! } }));
            const label = `Tags of ${done} ${done === 1 ? 'clip' : 'clips'}, heard by a model`;
            return done === 0 ? null : { kind: 'set', changes, label };
          });
          return { state, done };
        } finally {
          await tagger.close();
        }
      }),
    );
  }

  /** The clips as they are to be learnt, as WAV, for a bundle. */
  bundleClips(projectId: string, rate: number, channels: 1 | 2): Promise<BundleClip[]> {
    const work = async (session: DatasetSession<SoundTypes>): Promise<BundleClip[]> => {
      const clips: BundleClip[] = [];
      // One after the other: only one clip's samples are in memory beside the files.
      for (const clip of session.now.clips.filter(({ kept }) => kept)) {
        const samples = await samplesOf(session, clip, rate, channels);
        const bytes = new Uint8Array(await encodeWav(samples, rate).arrayBuffer());
        clips.push({ file: clip.file, bytes, words: clip.words });
      }
      return clips;
    };
    return this.use(projectId, work, {});
  }
}
