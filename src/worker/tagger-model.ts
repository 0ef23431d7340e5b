import type { SoundTagger } from '../datasets/sounds/tagger.ts';
import type { CaptionSource } from './caption-model.ts';

/** A model of the hub by its name, which is fetched, or the files of a folder of the person's own. */
export type TaggerSource = CaptionSource;

/** What is proposed where nobody names another: 0.2 GB, Apache-2.0. */
export const PROPOSED_TAGGER = 'Xenova/clap-htsat-unfused';

/** Opens a model that hears what is in a sound. Library and runtime are loaded here, and only here. */
export async function openTags(source: TaggerSource, onProgress: (fraction: number) => void): Promise<SoundTagger> {
  const [{ openTagger }, { ortRuntime }] = await Promise.all([
    import('../datasets/sounds/tagger.ts'),
    import('../datasets/pictures/ort-runtime.ts'),
  ]);
  if ('hub' in source) return openTagger({ model: source, runtime: ortRuntime, onProgress });
  const files = new Map(source.files.map(({ name, file }) => [name, file]));
  const folder = {
    files: [...files.keys()],
    async read(path: string): Promise<Uint8Array<ArrayBuffer>> {
      return new Uint8Array((await files.get(path)?.arrayBuffer()) ?? new ArrayBuffer(0));
    },
  };
  return openTagger({ model: { folder }, runtime: ortRuntime, onProgress });
}
