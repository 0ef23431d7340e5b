import type { CaptionModel } from '../datasets/pictures/captions.ts';
import type { Pixels } from '../datasets/pictures/types.ts';
import type { NamedFile } from './picture-host.ts';

/** A model of the hub by its name, which is fetched, or the files of a folder of the person's own. */
export type CaptionSource = { hub: string } | { files: readonly NamedFile[] };

/** Opens a model that says what a picture shows. Library and runtime are loaded here, and only here. */
export async function openCaptions(
  source: CaptionSource,
  onProgress: (fraction: number) => void,
): Promise<CaptionModel> {
  const [{ openCaptioner }, { ortRuntime }] = await Promise.all([
    import('../datasets/pictures/captioner.ts'),
    import('../datasets/pictures/ort-runtime.ts'),
  ]);
  if ('hub' in source) return openCaptioner({ model: source, runtime: ortRuntime, onProgress });
  const files = new Map(source.files.map(({ name, file }) => [name, file]));
  const folder = {
    files: [...files.keys()],
    async read(path: string): Promise<Uint8Array<ArrayBuffer>> {
      return new Uint8Array((await files.get(path)?.arrayBuffer()) ?? new ArrayBuffer(0));
    },
  };
  return openCaptioner({ model: { folder }, runtime: ortRuntime, onProgress });
}

/** The pixels of a picture file. */
export async function pixelsOf(file: Blob): Promise<Pixels> {
  const bitmap = await createImageBitmap(file);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { width, height, data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { width, height, data: data as Pixels['data'] };
}
