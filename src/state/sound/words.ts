import { SAMPLED_PROMPTS } from '../../worker/protocol.ts';
import type { KindWords } from '../kind-words.ts';

export const soundWords: KindWords = {
  title: 'A sound',
  what: 'A band, an instrument, a manner of playing: from five minutes to an hour of music to a model that plays in its manner. It does not sing.',
  example:
    'The example brings its own small model and clips: nothing to download, and a result you can hear within a few minutes.',
  one: 'clip',
  needs: 'Needs music',
  all: 'songs',
  missing: 'music to learn from',
  gather: 'Gather the music',
  seen: 'Clips',
  perSecond: 'clips/s',
  tries: 'listen',
  tryIt: 'Listen to it',
  smaller: 'a shorter “longest stretch”',
  suits: 'five minutes to an hour of music',
  prepares: 'the clips are read',
  preparing: { codes: 'Turning sound into codes', captions: 'Reading the words beside them' },
  heldOut: 'clips',
  base: 'The base knows how to play; your music shows it what. Larger bases play better and take more time and memory.',
  embedded:
    'Comes with the page, nothing to fetch. It plays short pieces of a few synthetic instruments, and learns a new manner within minutes: good for trying things out, too small for recordings of bands.',
  loss: 'How surprised the model is by the next codes of your music. Music is never quite predictable, so it falls by little; the sounds below say more. The dashed line is measured on clips it never trains on.',
  prompts: {
    label: 'Prompts to compose along the way',
    help: `One a line. Now and then during the run the base and the tuned model both compose the first ${SAMPLED_PROMPTS} of them on the same seed, so that you hear it change; Try offers them all. One of another kind shows whether the rest suffers.`,
  },
  seedOf: 'of the first sound; the next have the next ones',
};
