import { formatCount, formatParameters } from '../../state/format.ts';
import { modelFiles } from '../../state/pick-folder.ts';
import { data } from '../../state/voice/dataset.svelte.ts';
import { voiceInfo } from '../../state/voice/info.ts';
import type { AppKind } from '../kind.ts';
import VoiceAsk from './VoiceAsk.svelte';
import VoiceBaseHelp from './VoiceBaseHelp.svelte';
import VoiceData from './VoiceData.svelte';
import VoiceSamples from './VoiceSamples.svelte';
import VoiceShare from './VoiceShare.svelte';
import VoiceTry from './VoiceTry.svelte';

export const appVoice: AppKind = {
  steps: { ask: VoiceAsk, data: VoiceData, try: VoiceTry, share: VoiceShare },
  Samples: VoiceSamples,
  openDataset: (projectId) => data.open(projectId),
  facts(baseId) {
    const info = voiceInfo(baseId);
    if (!info) return [];
    return [
      ['Architecture', `${info.modelType}, ${formatParameters(info.parameters)} parameters`],
      ['Layers', `${info.layers} of width ${formatCount(info.hiddenSize)}`],
      ['Vocabulary', `${formatCount(info.vocabSize)} tokens`],
      ['Holds in mind', `${formatCount(info.contextLength)} tokens`],
      ['Kept as', info.precision],
      [
        'Conversations',
        info.hasChatTemplate ? 'has a chat template' : 'no chat template: conversations are written out as plain text',
      ],
    ];
  },
  base: { singleFiles: false, Help: VoiceBaseHelp, filesOf: modelFiles },
  adapter: {
    without: [],
    allModules: 'all-linear',
    modules: 'All linear layers',
    choosing: 'All of them learn best; fewer take less memory.',
  },
};
