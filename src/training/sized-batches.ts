import { shuffledOrder } from '../common/order.ts';
import type { Recipe } from './recipe.ts';

/** An example at its place in a run: what is drawn at random for it depends on the seed and the place alone. */
export interface Placed<E> {
  example: E;
  position: number;
}

/**
 * The entries of one epoch in their order (shuffled by the seed where the recipe says so), cut into batches of one size each;
 * a last batch is filled up with others of its size.
 * @param sizeOf entries of the same text go into the same batches
 */
export function sizedBatches<E>(
  entries: readonly E[],
  sizeOf: (entry: E) => string,
  recipe: Pick<Recipe, 'shuffle' | 'seed' | 'per_device_train_batch_size'>,
  epoch: number,
): Placed<E>[][] {
  const order = recipe.shuffle ? shuffledOrder(entries.length, recipe.seed, epoch) : entries.map((_, i) => i);
  const size = recipe.per_device_train_batch_size;
  const waiting = new Map<string, Placed<E>[]>();
  const seen = new Map<string, E[]>();
  const batches: Placed<E>[][] = [];
  // Room for what fills up the last batches: at most as many again.
  const first = epoch * 2 * entries.length;
  Array.from(order).forEach((index, place) => {
    const example = entries[index]!;
    const name = sizeOf(example);
    const group = waiting.get(name) ?? [];
    group.push({ example, position: first + place });
    seen.set(name, [...(seen.get(name) ?? []), example]);
    if (group.length === size) batches.push(group.splice(0));
    waiting.set(name, group);
  });
  let extra = first + entries.length;
  for (const [name, group] of waiting) {
    if (group.length === 0) continue;
    const others = seen.get(name)!;
    for (let i = 0; group.length < size; i++) group.push({ example: others[i % others.length]!, position: extra++ });
    batches.push(group);
  }
  return batches;
}

/** The batches of a run one after the other, epoch by epoch: the same one whenever its index is asked. */
export class EpochBatches<E> {
  readonly perEpoch: number;
  readonly #ofEpoch: (epoch: number) => Placed<E>[][];
  #known: { epoch: number; batches: Placed<E>[][] };

  /** @param ofEpoch gives as many batches for every epoch */
  constructor(ofEpoch: (epoch: number) => Placed<E>[][]) {
    this.#ofEpoch = ofEpoch;
    this.#known = { epoch: 0, batches: ofEpoch(0) };
    this.perEpoch = this.#known.batches.length;
  }

  at(index: number): Placed<E>[] {
    const epoch = Math.floor(index / this.perEpoch);
    if (this.#known.epoch !== epoch) this.#known = { epoch, batches: this.#ofEpoch(epoch) };
    return this.#known.batches[index % this.perEpoch]!;
  }
}
