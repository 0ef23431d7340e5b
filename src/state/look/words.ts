import { SAMPLED_PROMPTS } from '../../worker/protocol.ts';
import type { KindWords } from '../kind-words.ts';

export const lookWords: KindWords = {
  title: 'A look',
  what: 'A face, a pet, a thing, a style: from 10 to 40 photos to a model that draws it wherever you like.',
  example:
    'The example brings its own small model and drawings: nothing to download, and a result you can see within a few minutes.',
  one: 'picture',
  needs: 'Needs pictures',
  all: 'pictures',
  missing: 'pictures to learn from',
  gather: 'Gather the pictures',
  seen: 'Pictures',
  perSecond: 'pictures/s',
  tries: 'look',
  tryIt: 'Look at it',
  smaller: 'smaller pictures',
  suits: 'ten to forty photos of one subject',
  prepares: 'the pictures are read',
  preparing: {
    latents: 'Turning pictures into latents',
    captions: 'Reading the words beside them',
    'class pictures': 'Drawing ordinary pictures of its kind',
  },
  heldOut: 'pictures',
  base: 'The base knows how to draw; your pictures show it what. Larger bases draw better and take more time and memory.',
  embedded:
    'Comes with the page, nothing to fetch. It draws small coloured creatures and things in simple places, and learns a new one within minutes: good for trying things out, too small for photos of people.',
  loss: 'How far its guess of the noise in a picture is from the truth. It jumps, for every step adds another amount of noise; only its slow fall counts, and the pictures below say more.',
  prompts: {
    label: 'Prompts to draw along the way',
    help: `One a line. Now and then during the run the base and the tuned model both draw the first ${SAMPLED_PROMPTS} of them on the same seed, so that you see it change; Try offers them all. One without the word shows whether the rest suffers.`,
  },
  seedOf: 'of the first picture; the next have the next ones',
};
