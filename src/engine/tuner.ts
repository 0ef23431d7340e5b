import type { Device } from './device.ts';
import { choiceKey, conv2dKey } from './kernels/choices.ts';
import type { Conv2dOp, Conv2dShape } from './kernels/conv2d.ts';
import { conv2d, conv2dBackward, conv2dCandidates } from './kernels/conv2d.ts';
import { outputSize, tapsOf } from './kernels/conv2d_geometry.ts';
import type { KernelCall } from './kernels/kernel.ts';
import type { MatmulOp, MatmulShape, Variant } from './kernels/matmul.ts';
import { candidates, linear, linearBackward } from './kernels/matmul.ts';
import { runKernels } from './kernels/run.ts';
import { SHADERS } from 'virtual:shaders';
import type { WeightType } from './weight-formats.ts';
import { codeBytes, scaleBytes } from './weight-formats.ts';

/** Ways of one op on one shape that are timed; the first is what would be used untimed. */
const MOST_CANDIDATES = 4;
/** A shape's trials together take about this long (seconds). */
const TRIAL_SECONDS = 0.02;

/** A larger matrix is timed as one of this size: it is made of the same tiles, and a vocabulary's would fill the memory. */
const MOST = { m: 4096, n: 8192, k: 8192 };
/** Likewise the values of a picture; of a larger one the upper rows are timed. */
const MOST_VALUES = 2 ** 24;

interface Trial {
  call: KernelCall<string>;
  sizes: Record<string, number>;
}

/** u32 words of so many weights, and of their scales where they have any. */
function weightWords(type: WeightType, count: number): { w: number; scales?: number } {
  const scales = scaleBytes(type, count) / 4;
  return { w: Math.ceil(codeBytes(type, count) / 4), ...(scales > 0 && { scales }) };
}

/** The big products; the skinny ones have one form. */
function productTrial(op: MatmulOp, shape: MatmulShape, device: Device, variant: Variant): Trial | undefined {
  const { weightType } = shape;
  const m = Math.min(shape.m, MOST.m);
  const n = Math.min(shape.n, MOST.n);
  const k = Math.min(shape.k, MOST.k);
  // linearBackward's candidates are asked for by its output: n columns, sums of k terms.
  const weights = weightWords(weightType, n * k);
  const scales = weights.scales === undefined ? undefined : 'scales';
  if (op === 'linear') {
    const call = linear<string>({ x: 'a', w: 'w', scales, y: 'out' }, { m, n, k, weightType }, device.target, variant);
    return { call, sizes: { a: m * k, ...weights, out: m * n } };
  }
  if (op === 'linearBackward') {
    const call = linearBackward<string>(
      { dy: 'a', w: 'w', scales, dx: 'out' },
      { m, n: k, k: n, weightType },
      device.target,
      variant,
    );
    return { call, sizes: { a: m * k, ...weights, out: m * n } };
  }
  return undefined;
}

function convolutionTrial(op: Conv2dOp, whole: Conv2dShape, device: Device, variant: Variant): Trial {
  const { images, width, channels, outChannels, kernel, dilation = 1, weightType } = whole;
  const rows = Math.floor(MOST_VALUES / (images * width * Math.max(channels, outChannels)));
  const shape = { ...whole, height: Math.min(whole.height, Math.max(rows, dilation * (kernel[0] - 1) + 1)) };
  const out = outputSize(shape);
  const weights = weightWords(weightType, outChannels * tapsOf(shape) * channels);
  const scales = weights.scales === undefined ? undefined : 'scales';
  const sizes = {
    x: images * shape.height * width * channels,
    ...weights,
    y: images * out.height * out.width * outChannels,
  };
  const call =
    op === 'conv2d'
      ? conv2d<string>({ x: 'x', w: 'w', scales, y: 'y' }, shape, device.target, variant)
      : conv2dBackward<string>({ dy: 'y', w: 'w', scales, dx: 'x' }, shape, device.target, variant);
  return { call, sizes };
}

/** The fastest of the ways, the first where there is nothing to try. */
async function fastest(
  device: Device,
  ways: readonly Variant[],
  trial: (variant: Variant) => Trial | undefined,
): Promise<string> {
  let best: { name: string; seconds: number } | undefined;
  for (const variant of ways.length > 1 ? ways : []) {
    const made = trial(variant);
    if (!made) break;
    const once = await runKernels(device, SHADERS, [made.call], made.sizes, [], { repeat: 1 });
    const repeat = Math.max(1, Math.min(50, Math.round(TRIAL_SECONDS / ways.length / Math.max(1e-5, once.seconds))));
    const { seconds } = repeat > 1 ? await runKernels(device, SHADERS, [made.call], made.sizes, [], { repeat }) : once;
    if (!best || seconds < best.seconds) best = { name: variant.name, seconds };
  }
  return best?.name ?? ways[0]!.name;
}

/**
 * Times the candidates of every shape that planning asked for and nobody has timed yet, and keeps the fastest in
 * `device.choices`. Results differ only in the order of sums, so a run that is gone on with keeps the choices of its start.
 * @returns whether anything new was chosen: plan again then
 */
export async function tune(device: Device, onProgress?: (fraction: number) => void): Promise<boolean> {
  const { choices, target } = device;
  const waiting: { key: string; ways: readonly Variant[]; trial: (variant: Variant) => Trial | undefined }[] = [];
  for (const { op, shape } of [...choices.wanted.values()]) {
    const key = choiceKey(op, shape);
    if (choices.chosen.has(key)) continue;
    waiting.push({
      key,
      ways: candidates(op, shape, target).slice(0, MOST_CANDIDATES),
      trial: (variant) => productTrial(op, shape, device, variant),
    });
  }
  for (const { op, shape } of [...choices.wantedConvolutions.values()]) {
    const key = conv2dKey(op, shape);
    if (choices.chosen.has(key)) continue;
    waiting.push({
      key,
      ways: conv2dCandidates(op, shape, target).slice(0, MOST_CANDIDATES),
      trial: (variant) => convolutionTrial(op, shape, device, variant),
    });
  }
  for (const [i, { key, ways, trial }] of waiting.entries()) {
    choices.chosen.set(key, await fastest(device, ways, trial));
    onProgress?.((i + 1) / waiting.length);
  }
  return waiting.length > 0;
}
