import type { Device } from './device.ts';
import type { KernelCall } from './kernels/kernel.ts';
import type { MatmulOp, MatmulShape, Variant } from './kernels/matmul.ts';
import { candidates, linear, linearBackward } from './kernels/matmul.ts';
import { runKernels } from './kernels/run.ts';
import { SHADERS } from './kernels/shaders.ts';
import { BYTES_PER_ELEMENT } from './tensor.ts';
import { choiceKey } from './kernels/choices.ts';

/** Ways of one op on one shape that are timed; the first is what would be used untimed. */
const MOST_CANDIDATES = 4;
/** A shape's trials together take about this long (seconds). */
const TRIAL_SECONDS = 0.02;

/** A larger matrix is timed as one of this size: it is made of the same tiles, and a vocabulary's would fill the memory. */
const MOST = { m: 4096, n: 8192, k: 8192 };

/** The big products; the skinny ones have one form. */
function trial(
  op: MatmulOp,
  shape: MatmulShape,
  device: Device,
  variant: Variant,
): { call: KernelCall<string>; sizes: Record<string, number> } | undefined {
  const { weightType } = shape;
  const m = Math.min(shape.m, MOST.m);
  const n = Math.min(shape.n, MOST.n);
  const k = Math.min(shape.k, MOST.k);
  // linearBackward's candidates are asked for by its output: n columns, sums of k terms.
  const weights = Math.ceil(n * k * (BYTES_PER_ELEMENT[weightType] / 4));
  if (op === 'linear') {
    const call = linear<string>({ x: 'a', w: 'w', y: 'out' }, { m, n, k, weightType }, device.target, variant);
    return { call, sizes: { a: m * k, w: weights, out: m * n } };
  }
  if (op === 'linearBackward') {
    const call = linearBackward<string>(
      { dy: 'a', w: 'w', dx: 'out' },
      { m, n: k, k: n, weightType },
      device.target,
      variant,
    );
    return { call, sizes: { a: m * k, w: weights, out: m * n } };
  }
  return undefined;
}

/**
 * Times the candidates of every shape that planning asked for and nobody has timed yet, and keeps the fastest in
 * `device.choices`. Results differ only in the order of sums, so a run that is gone on with keeps the choices of its start.
 * @returns whether anything new was chosen: plan again then
 */
export async function tune(device: Device, onProgress?: (fraction: number) => void): Promise<boolean> {
  const { choices } = device;
  const waiting = [...choices.wanted.values()].filter(({ op, shape }) => !choices.chosen.has(choiceKey(op, shape)));
  let changed = false;
  for (const [i, { op, shape }] of waiting.entries()) {
    const ways = candidates(op, shape, device.target).slice(0, MOST_CANDIDATES);
    let best: { name: string; seconds: number } | undefined;
    for (const variant of ways.length > 1 ? ways : []) {
      const made = trial(op, shape, device, variant);
      if (!made) break;
      const once = await runKernels(device, SHADERS, [made.call], made.sizes, [], { repeat: 1 });
      const repeat = Math.max(1, Math.min(50, Math.round(TRIAL_SECONDS / ways.length / Math.max(1e-5, once.seconds))));
      const { seconds } =
        repeat > 1 ? await runKernels(device, SHADERS, [made.call], made.sizes, [], { repeat }) : once;
      if (!best || seconds < best.seconds) best = { name: variant.name, seconds };
    }
    choices.chosen.set(choiceKey(op, shape), best?.name ?? ways[0]!.name);
    changed = true;
    onProgress?.((i + 1) / waiting.length);
  }
  return changed;
}
