/** Captions by an image-to-text model through transformers.js; see transformers-js.ts for what is loaded when. */
import { checkOnnxFolder, openOnnxModel } from '../transformers-js.ts';
import type { OnnxModelOptions } from '../transformers-js.ts';
import type { CaptionModel } from './captions.ts';
import { reducedSize, scaledPixels } from './resample.ts';
import type { Pixels } from './types.ts';

/** Models look at 224 to 448 pixels; more would only be copied about. */
const LOOK = { shortSide: 512, longSide: 1536 };

const CHOOSE =
  'Choose a folder of an image-to-text model in the form for transformers.js, such as Xenova/vit-gpt2-image-captioning.';

/**
 * Opens a model that writes captions. One at a time: the library's settings are one for the whole worker.
 * @throws UserError where the folder holds no such model, or it cannot be fetched or run.
 */
export async function openCaptioner(options: OnnxModelOptions): Promise<CaptionModel> {
  if ('folder' in options.model) checkOnnxFolder(options.model.folder, 'writes captions', CHOOSE);
  const { library, pipeline: run } = await openOnnxModel(options, ({ pipeline }, name, how) =>
    pipeline('image-to-text', name, how),
  );
  return {
    async describe(pixels: Pixels) {
      const [width, height] = reducedSize(pixels.width, pixels.height, LOOK);
      const small = width === pixels.width && height === pixels.height ? pixels : scaledPixels(pixels, width, height);
      const image = new library.RawImage(small.data, width, height, 4).rgb();
      const [said] = (await run(image)) as { generated_text: string }[];
      return said?.generated_text.trim() ?? '';
    },
    async close() {
      await run.dispose();
    },
  };
}
