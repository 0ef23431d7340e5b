import type { SoundBlock } from '../../datasets/sound/types.ts';
import type { SoundLearningData, SoundModel } from '../../tasks/sound/model.ts';
import type { ComposeProgress } from '../../tasks/sound/types.ts';
import type { WorkerKind } from '../kind.ts';
import { encodeWav } from '../wav.ts';
import { soundSources } from './sources.ts';

export const workerSound: WorkerKind<SoundModel, SoundLearningData, ComposeProgress, SoundBlock> = {
  learningData: async (project) => ({ clips: await soundSources(project), sampleSeed: project.sampleSeed }),
  encodeEvent: (event) => event,
  encodeSample: ({ channels, sampleRate }) => encodeWav(channels, sampleRate),
};
