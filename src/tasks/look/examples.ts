import { RandomStream } from '../../common/random.ts';
import { assignBuckets } from '../../datasets/look/buckets.ts';
import { maskFromPixels, maskToLatents } from '../../datasets/look/masks.ts';
import { toTensor } from '../../datasets/look/to-tensor.ts';
import type { PictureRow } from '../../datasets/look/types.ts';
import { splitHeldOut } from '../../common/order.ts';
import { concatFloats } from '../../common/floats.ts';
import { UserError } from '../../common/errors.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { LatentDistribution } from '../../models/diffusion/denoiser.ts';
import type { EncodedPrompt } from '../denoising/batch.ts';
import type { Example, Examples } from '../denoising/run-data.ts';
import type { LookCodec } from './encoders.ts';
import type { LookCache, PictureSource, LookPrepareEvent } from './types.ts';

/** Orders of a caption's parts that are kept; enough that none is learnt by heart. */
const CAPTION_ORDERS = 8;

/** What pictures and words are turned into, by the base's own encoders. */
export type LookEncoders = Pick<
  LookCodec,
  | 'sampleFactor'
  | 'sampleShape'
  | 'lengths'
  | 'conditionNames'
  | 'encodePicture'
  | 'encodeText'
  | 'tokenize'
  | 'geometryConditions'
>;

/** A picture's row with the bucket that this base and resolution give it. */
export type SizedPicture = Omit<PictureSource, 'row'> & { row: PictureRow };

/**
 * Buckets at a resolution: steps of 64 pixels as usual, of eight latents in small bases, whose pictures have no 64 to spare.
 */
export function sizedPictures(pictures: readonly PictureSource[], resolution: number, factor: number): SizedPicture[] {
  const step = resolution >= 256 ? 64 : Math.max(factor * 2, 8);
  const buckets = assignBuckets(
    pictures.map(({ row }) => row.crop),
    { resolution, step },
  );
  return pictures.map((picture, i) => ({ ...picture, row: { ...picture.row, bucket: buckets[i]! } }));
}

/** A caption in the orders that it will be shown in: as it is, or its parts between commas shuffled behind the first. */
export function captionOrders(caption: string, recipe: Pick<Recipe, 'shuffle_caption' | 'seed'>): string[] {
  const [first, ...rest] = caption.split(',').map((part) => part.trim());
  if (!recipe.shuffle_caption || rest.length < 2) return [caption];
  const random = new RandomStream(recipe.seed, `caption ${caption}`);
  const orders = Array.from({ length: CAPTION_ORDERS }, () =>
    [first!, ...Array.from(random.permutation(rest.length), (i) => rest[i]!)].join(', '),
  );
  return [...new Set(orders)];
}

/** Everything about a picture that its latents depend on. */
function latentKey({ id, crop, bucket }: PictureRow, flip: boolean): string {
  return `latents 1 ${id} ${[crop.x, crop.y, crop.width, crop.height, ...bucket].join()} ${flip ? 'flipped' : ''}`;
}

/** A picture's latents, from the cache where they were computed before: the means, and the deviations where there are any. */
async function latentsOf(
  picture: SizedPicture,
  flip: boolean,
  encoders: LookEncoders,
  cache: LookCache | undefined,
): Promise<LatentDistribution> {
  const { row } = picture;
  const [width, height] = row.bucket;
  const key = latentKey(row, flip);
  const count = encoders.sampleShape({ height, width }).reduce((product, side) => product * side, 1);
  const known = await cache?.read(key);
  if (known?.length === count) return { mean: known };
  if (known?.length === 2 * count) return { mean: known.slice(0, count), deviation: known.slice(count) };
  const pixels = toTensor(await picture.pixels(), row, flip);
  const latents = await encoders.encodePicture(pixels, { height, width });
  const { mean, deviation } = latents;
  await cache?.write(key, concatFloats(deviation ? [mean, deviation] : [mean]));
  return latents;
}

/** What a caption tells, from the cache where it was computed before: the lengths of all conditions first, then their numbers. */
async function promptOf(caption: string, encoders: LookEncoders, cache: LookCache | undefined): Promise<EncodedPrompt> {
  const key = `text 2 ${caption}`;
  const names = encoders.conditionNames;
  const known = await cache?.read(key);
  const lengths = Array.from(known?.subarray(0, names.length) ?? []);
  if (known && known.length === lengths.reduce((sum, length) => sum + length, names.length)) {
    let at = names.length;
    const conditions = names.map((name, i) => [name, known.slice(at, (at += lengths[i]!))] as const);
    return { conditions: Object.fromEntries(conditions), tokens: await encoders.tokenize(caption) };
  }
  const prompt = await encoders.encodeText(caption);
  const parts = names.map((name) => prompt.conditions[name]!);
  await cache?.write(key, concatFloats([Float32Array.from(parts, ({ length }) => length), ...parts]));
  return prompt;
}

/**
 * Pictures and captions as examples, each step of the way an event. What was computed before comes from the cache; pixels
 * are held for one picture at a time.
 */
export async function* makeLookExamples(
  pictures: readonly SizedPicture[],
  priors: readonly SizedPicture[],
  recipe: Recipe,
  encoders: LookEncoders,
  { cache, signal }: { cache?: LookCache | undefined; signal?: AbortSignal | undefined } = {},
): AsyncGenerator<LookPrepareEvent, Examples> {
  if (pictures.length === 0) throw new UserError('There is nothing to learn from yet. Add pictures under Data.');
  const all = [...pictures, ...priors];
  const captions = [...new Set(all.flatMap(({ row }) => captionOrders(row.caption, recipe))), ''];
  const prompts = new Map<string, EncodedPrompt>();
  for (const [i, caption] of captions.entries()) {
    signal?.throwIfAborted();
    yield { type: 'prepare', what: 'captions', done: i, total: captions.length };
    prompts.set(caption, await promptOf(caption, encoders, cache));
  }
  const examples: Example[] = [];
  for (const [i, picture] of all.entries()) {
    signal?.throwIfAborted();
    yield { type: 'prepare', what: 'latents', done: i, total: all.length };
    const { row } = picture;
    const [width, height] = row.bucket;
    const isPrior = i >= pictures.length;
    const mask = recipe.masked_loss && row.masked ? await picture.mask() : null;
    const views = [];
    for (const flip of recipe.random_flip ? [false, true] : [false]) {
      views.push({
        latents: await latentsOf(picture, flip, encoders, cache),
        ...(mask && { mask: maskToLatents(maskFromPixels(mask), row, encoders.sampleFactor, flip) }),
      });
    }
    examples.push({
      shape: { sample: encoders.sampleShape({ height, width }), lengths: encoders.lengths },
      views,
      prompts: captionOrders(row.caption, recipe).map((caption) => prompts.get(caption)!),
      conditions: encoders.geometryConditions(row, { height, width }),
      weight: isPrior ? recipe.prior_loss_weight : 1,
      repeats: isPrior ? 1 : row.repeats,
    });
  }
  await cache?.trim();
  yield { type: 'prepare', what: 'latents', done: all.length, total: all.length };
  const own = examples.slice(0, pictures.length);
  const { train, heldOut } = splitHeldOut(own.length, recipe.eval_share, recipe.seed);
  return {
    training: train.map((i) => own[i]!),
    heldOut: heldOut.map((i) => own[i]!),
    priors: examples.slice(pictures.length),
    empty: prompts.get('')!,
  };
}
