import { installCounters, readBytes, readCounts } from './counters.ts';
import { createJaxStep } from './jax.ts';
import { createOurStep } from './ours.ts';
import { SHAPES, makeWork } from './work.ts';
import type { CreateStep, Side } from './work.ts';

installCounters();

const SIDES: Record<string, CreateStep> = {
  ours: createOurStep,
  jax: (work) => createJaxStep(work, 'in-out'),
  'jax-out-in': (work) => createJaxStep(work, 'out-in'),
};

export interface Settings {
  shape: string;
  steps: number;
  sides: string[];
}

export interface SideResult {
  side: string;
  firstStepSeconds: number;
  stepSeconds: number[];
  /** Processor seconds that the graphics process took for each of them, in hundredths; null where nobody counts them. */
  processorSeconds: (number | null)[];
  losses: number[];
  dispatchesPerStep: number;
  submitsPerStep: number;
  measuredBytes: number;
  peakBytes: number;
  plannedBytes: number | null;
  /** One a step, the first left out; empty where the side does not tell. */
  encodeSeconds: number[];
}

async function timedStep(side: Side, result: SideResult): Promise<number> {
  const before = readCounts();
  const start = performance.now();
  const loss = await side.step();
  const seconds = (performance.now() - start) / 1000;
  const after = readCounts();
  result.dispatchesPerStep = after.dispatches - before.dispatches;
  result.submitsPerStep = after.submits - before.submits;
  result.losses.push(loss);
  const { plannedBytes, encodeSeconds } = side.stats();
  result.plannedBytes = plannedBytes ?? null;
  if (encodeSeconds !== undefined && result.losses.length > 1) result.encodeSeconds.push(encodeSeconds);
  const { live, peak } = readBytes(side.device);
  result.measuredBytes = live;
  result.peakBytes = peak;
  return seconds;
}

/** First step of each side, then `steps` steps of each, taking turns. */
async function run({ shape, steps, sides }: Settings): Promise<SideResult[]> {
  const chosen = SHAPES[shape];
  if (!chosen) throw new Error(`There is no shape ${shape}: choose from ${Object.keys(SHAPES).join(', ')}.`);
  const running: { side: Side; result: SideResult }[] = [];
  for (const name of sides) {
    const create = SIDES[name];
    if (!create) throw new Error(`There is no side ${name}: choose from ${Object.keys(SIDES).join(', ')}.`);
    const side = await create(makeWork(chosen));
    const result: SideResult = {
      side: name,
      firstStepSeconds: 0,
      stepSeconds: [],
      processorSeconds: [],
      losses: [],
      dispatchesPerStep: 0,
      submitsPerStep: 0,
      measuredBytes: 0,
      peakBytes: 0,
      plannedBytes: null,
      encodeSeconds: [],
    };
    result.firstStepSeconds = await timedStep(side, result);
    running.push({ side, result });
  }
  for (let i = 0; i < steps; i++) {
    for (const { side, result } of running) {
      const before = await window.athanorGraphicsSeconds();
      result.stepSeconds.push(await timedStep(side, result));
      const after = await window.athanorGraphicsSeconds();
      result.processorSeconds.push(before === null || after === null ? null : after - before);
    }
  }
  return running.map(({ result }) => result);
}

declare global {
  interface Window {
    athanorBench: typeof run;
  }
}
window.athanorBench = run;
document.title = 'ready';
