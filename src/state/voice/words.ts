import { SAMPLED_PROMPTS } from '../../worker/protocol.ts';
import type { KindWords } from '../kind-words.ts';

export const voiceWords: KindWords = {
  title: 'A voice',
  what: 'A persona, an author’s hand, a friend’s way of writing: from chats or texts to a model that speaks like them.',
  example:
    'The example brings its own small model and conversations: nothing to download, and a result you can hear within about a minute.',
  one: 'row',
  needs: 'Needs data',
  all: 'data',
  missing: 'something to learn from',
  gather: 'Gather the data',
  seen: 'Tokens',
  perSecond: 'tokens/s',
  tries: 'listen',
  tryIt: 'Listen to it',
  smaller: 'shorten “max length”',
  suits: 'most sets',
  prepares: 'the words become tokens',
  preparing: {},
  heldOut: 'examples',
  base: 'The base brings the language; your data brings the voice. Larger bases speak better and take more time and memory.',
  embedded:
    'Comes with the page, nothing to fetch. It holds simple everyday talk and learns a manner of speech within a minute or so: good for trying things out.',
  loss: 'How surprised the model is by your examples: lower is better. The dashed line is measured on examples it never trains on; where it rises, learning by heart begins.',
  prompts: {
    label: 'Words to try along the way',
    help: `One a line. Now and then during the run the base and the tuned model both answer the first ${SAMPLED_PROMPTS} of them, so that you hear it change; Try offers them all.`,
  },
  seedOf: null,
};
