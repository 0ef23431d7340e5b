import { RandomStream } from '../../common/random.ts';
import { assignBuckets } from '../../datasets/look/buckets.ts';
import { maskFromPixels, maskToLatents } from '../../datasets/look/masks.ts';
import { toTensor } from '../../datasets/look/to-tensor.ts';
import type { PictureRow } from '../../datasets/look/types.ts';
import { splitHeldOut } from '../../common/order.ts';
import { UserError } from '../../common/errors.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { LookExample, LookExamples, Moments } from './run-data.ts';
import type { TextState } from './text.ts';
import type { LookCache, PictureSource, LookPrepareEvent } from './types.ts';

/** Orders of a caption's parts that are kept; enough that none is learnt by heart. */
const CAPTION_ORDERS = 8;

/** What pictures and words are turned into, by the base's own encoders (LookCodec). */
export interface LookEncoders {
  /** Pixels of one latent, a side. */
  readonly factor: number;
  /** @param tensor [3, height, width] in -1..1; sizes in pixels */
  encodePicture(tensor: Float32Array, height: number, width: number): Promise<Moments>;
  encodeText(prompt: string): Promise<TextState>;
  /** Token ids for each text encoder. */
  tokenIds(prompt: string): Promise<Uint32Array<ArrayBuffer>[]>;
  /** SDXL's second input; undefined for other bases. */
  timeIds(row: PictureRow, bucket: readonly [number, number]): readonly number[] | undefined;
}

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

const interleaved = ({ mean, deviation }: Moments): Float32Array<ArrayBuffer> => {
  const values = new Float32Array(2 * mean.length);
  values.set(mean);
  values.set(deviation, mean.length);
  return values;
};

async function momentsOf(
  picture: SizedPicture,
  flip: boolean,
  encoders: LookEncoders,
  cache: LookCache | undefined,
): Promise<Moments> {
  const { row } = picture;
  const key = latentKey(row, flip);
  const known = await cache?.read(key);
  if (known) return { mean: known.slice(0, known.length / 2), deviation: known.slice(known.length / 2) };
  const [width, height] = row.bucket;
  const moments = await encoders.encodePicture(toTensor(await picture.pixels(), row, flip), height, width);
  await cache?.write(key, interleaved(moments));
  return moments;
}

/** A caption's state, from the cache where it was computed before: lengths first, then the states and the summary. */
async function textOf(caption: string, encoders: LookEncoders, cache: LookCache | undefined): Promise<TextState> {
  const key = `text 1 ${caption}`;
  const known = await cache?.read(key);
  if (known && known.length > 2) {
    const [contextLength, pooledLength] = known as unknown as [number, number];
    const end = known.length - pooledLength;
    return {
      states: known.slice(2, end),
      contextLength,
      ids: await encoders.tokenIds(caption),
      ...(pooledLength > 0 && { pooled: known.slice(end) }),
    };
  }
  const text = await encoders.encodeText(caption);
  const { states, contextLength, pooled } = text;
  const kept = new Float32Array(2 + states.length + (pooled?.length ?? 0));
  kept.set([contextLength, pooled?.length ?? 0]);
  kept.set(states, 2);
  if (pooled) kept.set(pooled, 2 + states.length);
  await cache?.write(key, kept);
  return text;
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
): AsyncGenerator<LookPrepareEvent, LookExamples> {
  if (pictures.length === 0) throw new UserError('There is nothing to learn from yet. Add pictures under Data.');
  const all = [...pictures, ...priors];
  const captions = [...new Set(all.flatMap(({ row }) => captionOrders(row.caption, recipe))), ''];
  const texts = new Map<string, TextState>();
  for (const [i, caption] of captions.entries()) {
    signal?.throwIfAborted();
    yield { type: 'prepare', what: 'captions', done: i, total: captions.length };
    texts.set(caption, await textOf(caption, encoders, cache));
  }
  const examples: LookExample[] = [];
  for (const [i, picture] of all.entries()) {
    signal?.throwIfAborted();
    yield { type: 'prepare', what: 'latents', done: i, total: all.length };
    const { row } = picture;
    const [width, height] = row.bucket;
    const { factor } = encoders;
    const size = { height: height / factor, width: width / factor };
    const isPrior = i >= pictures.length;
    const mask = recipe.masked_loss && row.masked ? await picture.mask() : null;
    const views = [];
    for (const flip of recipe.random_flip ? [false, true] : [false]) {
      views.push({
        moments: await momentsOf(picture, flip, encoders, cache),
        ...(mask && { mask: maskToLatents(maskFromPixels(mask), row, factor, flip) }),
      });
    }
    examples.push({
      size,
      views,
      texts: captionOrders(row.caption, recipe).map((caption) => texts.get(caption)!),
      timeIds: encoders.timeIds(row, row.bucket),
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
    empty: texts.get('')!,
  };
}
