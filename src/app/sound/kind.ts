import { formatCount, formatParameters } from '../../state/format.ts';
import { modelFiles } from '../../state/pick-folder.ts';
import { sounds } from '../../state/sound/dataset.svelte.ts';
import { soundInfo } from '../../state/sound/info.ts';
import type { AppKind } from '../kind.ts';
import SoundAsk from './SoundAsk.svelte';
import SoundBaseHelp from './SoundBaseHelp.svelte';
import SoundData from './SoundData.svelte';
import SoundSamples from './SoundSamples.svelte';
import SoundShare from './SoundShare.svelte';
import SoundTry from './SoundTry.svelte';

export const appSound: AppKind = {
  steps: { ask: SoundAsk, data: SoundData, try: SoundTry, share: SoundShare },
  Samples: SoundSamples,
  openDataset: (projectId) => sounds.open(projectId),
  facts(baseId) {
    const info = soundInfo(baseId);
    if (!info) return [];
    return [
      ['Architecture', `MusicGen, ${formatParameters(info.parameters)} parameters`],
      ['Plays', `${info.channels === 2 ? 'stereo' : 'mono'} of ${formatCount(info.sampleRate)} samples a second`],
      ['In one go', `up to ${Math.round(info.longestSeconds)} seconds`],
      ['Codes', `${info.codebooks} × ${formatCount(Math.round(info.frameRate))} a second and channel`],
      ['Kept as', info.precision],
    ];
  },
  base: { singleFiles: false, Help: SoundBaseHelp, filesOf: modelFiles },
  adapter: {
    // A sound keeps to what it was measured with.
    without: ['use_dora'],
    allModules: null,
    modules: 'Attention and feed-forward layers',
    choosing:
      'Attention and feed-forward hold a manner; the heads and the codes’ embeddings let it go further from what the base plays, in a larger file.',
  },
};
