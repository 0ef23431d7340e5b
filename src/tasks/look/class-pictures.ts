import type { Pixels } from '../../datasets/look/types.ts';
import { UserError } from '../../common/errors.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { LookBase } from './base.ts';
import type { ImagePipeline } from './image-pipeline.ts';
import type { PictureSource, LookPrepareEvent } from './types.ts';

/** Seeds of class pictures begin here, far from those that people choose. */
const FIRST_SEED = 900_000;

function row(id: string, prompt: string, side: number): PictureSource['row'] {
  return {
    id,
    file: id,
    width: side,
    height: side,
    crop: { x: 0, y: 0, width: side, height: side },
    cropByHand: false,
    bucket: [side, side],
    caption: prompt,
    captionByHand: true,
    repeats: 1,
    hash: '0000000000000000',
    sharpness: 0,
    framing: 'unknown',
    warnings: [],
    masked: false,
  };
}

/**
 * Prior preservation (Ruiz et al., DreamBooth, arXiv:2208.12242): pictures of the ordinary kind that the base draws itself,
 * kept for later runs. Only the first run with these words draws them.
 */
export async function* drawClassPictures(
  drawer: ImagePipeline,
  base: LookBase,
  recipe: Recipe,
  signal: AbortSignal | undefined,
): AsyncGenerator<LookPrepareEvent, PictureSource[]> {
  const prompt = recipe.class_prompt.trim();
  if (prompt === '')
    throw new UserError(
      'Prior preservation needs words for the ordinary kind, such as “a photo of a dog”. Write them, or turn it off.',
    );
  const side = base.info.resolution;
  const total = recipe.num_class_images;
  const pictures: PictureSource[] = [];
  for (let i = 0; i < total; i++) {
    yield { type: 'prepare', what: 'class pictures', done: i, total };
    signal?.throwIfAborted();
    const settings = { steps: recipe.sample_inference_steps, guidance: recipe.sample_guidance_scale };
    const id = `class ${prompt} ${FIRST_SEED + i} ${side} ${settings.steps} ${settings.guidance}`;
    const known = await base.cache?.read(id);
    let pixels: Pixels | undefined = known && {
      width: side,
      height: side,
      data: new Uint8Array(known.buffer, known.byteOffset, known.byteLength),
    };
    if (!pixels) {
      const request = {
        prompt,
        seed: FIRST_SEED + i,
        num_inference_steps: settings.steps,
        guidance_scale: settings.guidance,
        ...(signal && { signal }),
      };
      for await (const event of drawer.draw(request)) if (event.type === 'image') pixels = event.pixels;
      if (!pixels) throw new Error('nothing was drawn');
      // RGBA bytes, four to a float, as the cache keeps floats.
      const { data } = pixels;
      await base.cache?.write(id, new Float32Array(data.slice().buffer));
    }
    const drawn = pixels;
    pictures.push({
      row: row(id, prompt, side),
      pixels: () => Promise.resolve(drawn),
      mask: () => Promise.resolve(null),
    });
  }
  await base.cache?.trim();
  yield { type: 'prepare', what: 'class pictures', done: total, total };
  return pictures;
}
