import { expect, test } from 'vitest';
import type { PictureRow } from '../../../src/datasets/look/types.ts';
import type { LookEncoders } from '../../../src/tasks/look/examples.ts';
import { captionOrders, makeLookExamples, sizedPictures } from '../../../src/tasks/look/examples.ts';
import type { LookCache, PictureSource } from '../../../src/tasks/look/types.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';

const recipeOf = (fields: object = {}) =>
  parseRecipe({ caption_dropout_rate: 0, snr_gamma: 0, seed: 7, ...fields }, 'look');

test('captions are shuffled behind their first part only where that is asked for', () => {
  const caption = 'a photo of zilo, red, round, at night';
  expect(captionOrders(caption, recipeOf())).toEqual([caption]);
  const orders = captionOrders(caption, recipeOf({ shuffle_caption: true }));
  expect(orders.length).toBeGreaterThan(1);
  for (const order of orders) {
    expect(order.startsWith('a photo of zilo, ')).toBe(true);
    expect(order.split(', ').sort()).toEqual(caption.split(', ').sort());
  }
  expect(captionOrders('zilo, red', recipeOf({ shuffle_caption: true }))).toEqual(['zilo, red']);
});

test('sizes are those that the base and its halvings take', () => {
  const row = (width: number, height: number) =>
    ({ row: { crop: { x: 0, y: 0, width, height } } }) as unknown as PictureSource;
  const pictures = [row(600, 600), row(600, 400), row(400, 900)];
  for (const [resolution, smallest] of [
    [64, 16],
    [512, 64],
    [1024, 32],
  ] as const) {
    for (const { row: sized } of sizedPictures(pictures, resolution, smallest)) {
      for (const side of sized.bucket) expect(side % smallest).toBe(0);
      expect(sized.bucket[0] * sized.bucket[1]).toBeLessThanOrEqual(resolution ** 2);
    }
  }
});

test('what was encoded once comes from the cache, bit for bit', async () => {
  const kept = new Map<string, Float32Array<ArrayBuffer>>();
  const cache: LookCache = {
    read: (key) => Promise.resolve(kept.get(key)?.slice()),
    write: (key, values) => Promise.resolve(void kept.set(key, values.slice())),
    trim: () => Promise.resolve(),
  };
  const asked = { pictures: 0, texts: 0 };
  const ids = (prompt: string) => [Uint32Array.from(prompt, (letter) => letter.charCodeAt(0))];
  const encoders: LookEncoders = {
    sampleFactor: 4,
    lengths: { encoder_hidden_states: 2 },
    conditionNames: ['encoder_hidden_states', 'text_embeds'],
    sampleShape: ({ height, width }) => [4, height / 4, width / 4],
    encodePicture(tensor) {
      asked.pictures++;
      const mean = tensor.slice(0, 64) as Float32Array<ArrayBuffer>;
      return Promise.resolve({ mean, deviation: mean.map((value) => value / 3) });
    },
    encodeText(prompt) {
      asked.texts++;
      const states = Float32Array.from({ length: 8 }, (_, i) => i + prompt.length / 7);
      const conditions = { encoder_hidden_states: states, text_embeds: states.slice(0, 3) };
      return Promise.resolve({ conditions, tokens: ids(prompt) });
    },
    tokenize: (prompt) => Promise.resolve(ids(prompt)),
    geometryConditions: () => ({}),
  };
  const data = Uint8Array.from({ length: 4 * 256 }, (_, i) => (i * 7) % 256);
  const row = {
    id: 'a',
    width: 16,
    height: 16,
    crop: { x: 0, y: 0, width: 16, height: 16 },
    bucket: [16, 16],
    caption: 'zilo',
    repeats: 1,
    masked: false,
  } as unknown as PictureRow;
  const picture = {
    row,
    pixels: () => Promise.resolve({ width: 16, height: 16, data }),
    mask: () => Promise.resolve(null),
  };
  const once = async () => {
    const made = makeLookExamples([picture], [], recipeOf({ random_flip: true }), encoders, { cache });
    for (;;) {
      const next = await made.next();
      if (next.done) return next.value;
    }
  };
  const first = await once();
  expect(asked).toEqual({ pictures: 2, texts: 2 });
  expect(await once()).toEqual(first);
  expect(asked).toEqual({ pictures: 2, texts: 2 });
  expect(first.training[0]!.views).toHaveLength(2);
});
