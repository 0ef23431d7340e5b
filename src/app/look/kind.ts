import { formatCount, formatParameters } from '../../state/format.ts';
import { pictures } from '../../state/look/dataset.svelte.ts';
import { lookInfo } from '../../state/look/info.ts';
import { lookFiles } from '../../state/look/model-files.ts';
import type { AppKind } from '../kind.ts';
import LookAsk from './LookAsk.svelte';
import LookBaseHelp from './LookBaseHelp.svelte';
import LookData from './LookData.svelte';
import LookShare from './LookShare.svelte';
import LookTry from './LookTry.svelte';
import PictureSamples from './PictureSamples.svelte';

const FAMILIES = { sd1: 'Stable Diffusion 1', sd2: 'Stable Diffusion 2', sdxl: 'Stable Diffusion XL' };

export const appLook: AppKind = {
  steps: { ask: LookAsk, data: LookData, try: LookTry, share: LookShare },
  Samples: PictureSamples,
  openDataset: (projectId) => pictures.open(projectId),
  facts(baseId) {
    const info = lookInfo(baseId);
    if (!info) return [];
    return [
      ['Architecture', `${FAMILIES[info.family]}, ${formatParameters(info.parameters)} parameters`],
      ['Made for', `pictures of ${info.resolution} × ${info.resolution} pixels`],
      ['Reads', `${formatCount(info.promptTokens)} tokens of a prompt`],
      ['Predicts', info.predictionType === 'epsilon' ? 'the noise (epsilon)' : 'the velocity (v)'],
      ['Kept as', info.precision],
    ];
  },
  base: { singleFiles: true, Help: LookBaseHelp, filesOf: lookFiles },
  adapter: {
    // The drawing programs do not read DoRA alike.
    without: ['use_dora'],
    allModules: null,
    modules: 'Attention and feed-forward layers',
    choosing:
      'Attention and feed-forward hold a subject; the convolutions (conv, samplers) add texture in a larger file.',
  },
};
