import { encodePng } from '../../datasets/look/png.ts';
import type { Pixels } from '../../datasets/look/types.ts';
import type { LookLearningData, LookModel } from '../../tasks/look/model.ts';
import type { DrawEvent } from '../../tasks/look/types.ts';
import type { WorkerKind } from '../kind.ts';
import { pictureSources } from './sources.ts';

/** What is heard while pictures are drawn. */
export type DrawProgress =
  | Extract<DrawEvent, { type: 'progress' }>
  | { type: 'image'; image: number; seed: number; width: number; height: number; png: Uint8Array<ArrayBuffer> };

export const workerLook: WorkerKind<LookModel, LookLearningData, DrawEvent, Pixels> = {
  learningData: async (project) => ({ pictures: await pictureSources(project), sampleSeed: project.sampleSeed }),
  encodeEvent(event): DrawProgress {
    if (event.type === 'progress') return event;
    const { image, seed, pixels } = event;
    return { type: 'image', image, seed, width: pixels.width, height: pixels.height, png: encodePng(pixels) };
  },
  encodeSample: (pixels) => new Blob([encodePng(pixels)], { type: 'image/png' }),
};
