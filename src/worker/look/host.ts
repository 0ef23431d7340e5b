import { browserDecoder } from '../../datasets/look/browser-decoder.ts';
import { withTriggerWord, type CaptionModel } from '../../datasets/look/captions.ts';
import type { PictureDecoder, Pixels } from '../../datasets/look/types.ts';
import { readFile } from '../../storage/datasets.ts';
import { bundlePicture } from '../../tasks/look/bundle-pictures.ts';
import type { BundlePicture } from '../../tasks/look/bundle.ts';
import { DatasetHost } from '../dataset-host.ts';
import type { OnnxModelSource } from '../onnx-model.ts';
import { openCaptions, pixelsOf } from './caption-model.ts';
import type { PictureFields } from './changes.ts';
import { lookDataset, type LookTypes, type PictureState } from './dataset.ts';
import { pictureSources } from './sources.ts';

export type { PictureChange, PictureFields } from './changes.ts';
export type { LookTypes, PictureOptions, PictureState } from './dataset.ts';
export type { PictureWords } from './snapshot.ts';

/** What reads pictures. */
export interface PictureTools {
  decoder: PictureDecoder;
  /** The pixels of a picture that was kept. */
  pixelsOf(file: Blob): Promise<Pixels>;
  openCaptions(source: OnnxModelSource, onProgress: (fraction: number) => void): Promise<CaptionModel>;
}

const BROWSER: PictureTools = { decoder: browserDecoder, pixelsOf, openCaptions };

/** The pictures of looks. */
export class LookHost extends DatasetHost<LookTypes> {
  readonly #tools: PictureTools;

  constructor(tools = BROWSER) {
    super(lookDataset(tools.decoder));
    this.#tools = tools;
  }

  mask(projectId: string, id: string): Promise<Blob | null> {
    return this.use(projectId, ({ now }) => now.masks.get(id) ?? null);
  }

  /**
   * Lets a model look at pictures and write their words, the trigger word in them; one step of the history. `onProgress`
   * hears how much of the model has come, then how many pictures are done. Returns how many were written.
   */
  writeCaptions(
    projectId: string,
    ids: readonly string[],
    { model, className }: { model: OnnxModelSource; className: string },
    onProgress: (what: 'model' | 'items', fraction: number) => void,
  ): Promise<{ state: PictureState; done: number }> {
    return this.use(projectId, (session) =>
      session.work('model', async (signal) => {
        const captioner = await this.#tools.openCaptions(model, (fraction) => onProgress('model', fraction));
        try {
          const { triggerWord } = session.now.words;
          const written = new Map<string, string>();
          for (const [i, id] of ids.entries()) {
            if (signal.aborted) break;
            onProgress('items', i / ids.length);
            const file = session.record && (await readFile(session.record.id, id))?.file;
            const said = file ? await captioner.describe(await this.#tools.pixelsOf(file)) : '';
            if (said !== '') written.set(id, withTriggerWord(said, triggerWord, className));
          }
          let done = 0;
          const state = await session.applyIf(({ rows }) => {
            // Removed meanwhile: there is nothing to write under.
            const there = rows.filter(({ id }) => written.has(id));
            done = there.length;
            const changes = there.map(({ id }): { id: string; fields: PictureFields } => ({
              id,
              fields: { caption: written.get(id)!, captionByHand: true },
            }));
            const label = `Words of ${done} ${done === 1 ? 'picture' : 'pictures'}, written by a model`;
            return done === 0 ? null : { kind: 'set', changes, label };
          });
          return { state, done };
        } finally {
          await captioner.close();
        }
      }),
    );
  }

  /** The pictures as they are to be learnt, with their masks, for a bundle. */
  async bundlePictures(datasetId: string | null): Promise<BundlePicture[]> {
    const pictures: BundlePicture[] = [];
    // One after the other: only one picture's pixels are in memory.
    for (const source of await pictureSources({ datasetId })) pictures.push(await bundlePicture(source));
    return pictures;
  }
}
