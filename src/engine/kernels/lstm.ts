import type { Defines } from '../wgsl.ts';
import type { KernelCall, KernelTarget } from './kernel.ts';
import type { WeightType } from '../weight-formats.ts';
import { weightBytes, weightDefines } from '../weight-formats.ts';

export interface LstmShape {
  clips: number;
  /** steps of each clip */
  length: number;
  hidden: number;
  weightType: WeightType;
}

/**
 * The hidden size up to which one workgroup goes through all steps: its weights then come from the caches of one
 * multiprocessor (or core) in about the time that a dispatch takes to begin.
 */
const WHOLE_HIDDEN = 128;

/** Clips that share what is read of W_hh in a step. */
const MOST_CLIPS = 4;

const powerOf2 = (atLeast: number): number => 2 ** Math.ceil(Math.log2(atLeast));

/** Whether one dispatch does all steps. */
export const isWhole = ({ hidden }: LstmShape): boolean => hidden <= WHOLE_HIDDEN;

/** How invocations share the work: docs/kernels-sound.md. */
function sharing(target: KernelTarget, { hidden, clips }: LstmShape, whole: boolean): Defines & Record<string, number> {
  const pieces = Math.ceil(hidden / 4);
  const CLIPS = whole ? 1 : Math.min(MOST_CLIPS, clips);
  if (target.family === 'cpu') {
    const lanes = target.subgroupSize;
    return { TEAM: 1, WG: whole ? Math.ceil(hidden / lanes) * lanes : lanes, CLIPS };
  }
  if (!whole) return { TEAM: 32, WG: 128, CLIPS };
  const units = powerOf2(hidden);
  const TEAM = Math.min(256 / units, powerOf2(pieces));
  return { TEAM, WG: units * TEAM, CLIPS };
}

/**
 * Steps begin … begin + steps - 1 of an LSTM layer (all of them where `isWhole`, else one): x [clips · length, 4H] are the
 * gates' sums without the recurrent part, w W_hh [4H, H], both in the order i, f, g, o; y [clips · length, H]. before [clips, H]
 * is h of the step before and after h of the last one done, two buffers; c [clips, H] is carried on in place.
 * @param started false: before and c count as 0, whatever they hold
 */
export function lstm<T>(
  target: KernelTarget,
  shape: LstmShape & { begin: number; steps: number; started: boolean },
  { scales, ...buffers }: { x: T; w: T; scales?: T | undefined; before: T; y: T; after: T; c: T },
): KernelCall<T> {
  const { clips, length, hidden, weightType, begin, steps, started } = shape;
  const whole = isWhole(shape);
  const shared = sharing(target, shape, whole);
  const VEC = hidden % 4 === 0;
  return {
    shader: 'lstm',
    defines: {
      ...{ ...shared, ...weightDefines(weightType, VEC ? 4 : 1), VEC, WHOLE: whole },
      // A constant where pieces are whole, so that a card's compiler has many loads on their way at once.
      SIZE: VEC ? `${hidden}u` : 'p.hidden',
      PIECES: VEC ? `${hidden / 4}u` : '((p.hidden + 3u) / 4u)',
      KEPT: whole ? hidden : 0,
    },
    params: { clips, length, hidden, begin, steps, started: Number(started) },
    buffers: { ...buffers, ...(scales !== undefined && { w_scales: scales }) },
    grid: [whole ? 1 : Math.ceil(hidden / (shared['WG']! / shared['TEAM']!)), Math.ceil(clips / shared['CLIPS']!), 1],
    flops: clips * steps * hidden * (8 * hidden + 30),
    bytes: steps * (weightBytes(weightType, 4 * hidden * hidden) + 4 * clips * hidden * 8),
  };
}
