/**
 * The convolution workshop: every variant of conv2d and conv2dBackward at given shapes, beside the matmul of the same
 * arithmetic and beside unfold + linear (linearBackward + fold), timed alone.
 *
 *   node bench/node.mjs bench/kernels/conv2d.ts [WORD…]
 *
 * Words: an op (conv2d, conv2dBackward), a shape (1x64x64x320x320 = images x height x width x channels x output channels), a
 * weight type (bf16), stride=2, kernel=1, family=gpu, rounds=5, @NAME (one variant), alone (nothing beside it); what is not
 * named is the usual. Prints GFLOP/s of the best round, and in brackets GFLOP a second of processor time.
 */
import { Device } from '../../src/engine/device.ts';
import {
  conv2d,
  conv2dBackward,
  conv2dBackwardProduct,
  conv2dCandidates,
  conv2dProduct,
} from '../../src/engine/kernels/conv2d.ts';
import { fold, unfold } from '../../src/engine/kernels/conv2d_pixels.ts';
import type { KernelCall, KernelFamily } from '../../src/engine/kernels/kernel.ts';
import { linear, linearBackward } from '../../src/engine/kernels/matmul.ts';
import { runKernels } from '../../src/engine/kernels/run.ts';
import { SHADERS } from 'virtual:shaders';
import { openNodeGpu } from '../../src/headless/gpu.ts';

const words = process.argv.slice(2);
const chosen = <T extends string>(all: readonly T[], usual: readonly T[] = all): T[] => {
  const named = all.filter((one) => words.includes(one));
  return named.length > 0 ? named : [...usual];
};
const numberOf = (name: string, usual: number): number =>
  Number(words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? usual);
const ops = chosen(['conv2d', 'conv2dBackward'] as const);
const weightTypes = chosen(['f32', 'bf16', 'f16'] as const, ['f32']);
const shapes = words.filter((word) => /^\d+(x\d+){4}$/.test(word));
if (shapes.length === 0) {
  shapes.push('4x16x16x64x64', '1x16x16x1280x1280', '1x32x32x640x640', '1x64x64x320x320', '1x256x256x128x128');
}
const stride = numberOf('stride', 1);
const kernel = numberOf('kernel', 3);
const rounds = numberOf('rounds', 3);
const wanted = words.filter((word) => word.startsWith('@')).map((word) => word.slice(1));
const alone = words.includes('alone');
const family = words.find((word) => word.startsWith('family='))?.slice(7) as KernelFamily | undefined;

const device = await Device.open(await openNodeGpu(), family ? { family } : {});
const { target } = device;
console.log(`${device.info.description}; family ${target.family}`);

/**
 * GFLOP/s of the best round by the clock, and GFLOP a second of processor time: on a software adapter that one hardly
 * depends on what else the machine does.
 */
async function speed(calls: KernelCall<string>[], sizes: Record<string, number>, flops: number): Promise<string> {
  let best = Infinity;
  const busy = async (options: { repeat?: number }): Promise<number> => {
    const before = process.cpuUsage();
    const { seconds } = await runKernels(device, SHADERS, calls, sizes, [], options);
    if (options.repeat) best = Math.min(best, seconds);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
  };
  await busy({ repeat: 1 });
  const repeat = Math.max(2, Math.min(200, Math.round(0.1 / best)));
  const [once, more]: [number[], number[]] = [[], []];
  for (let i = 0; i < rounds; i++) {
    once.push(await busy({}));
    more.push(await busy({ repeat }));
  }
  // Both have dispatched the list once more, to begin with.
  const least = (Math.min(...more) - Math.min(...once)) / repeat;
  return `${(flops / best / 1e9).toFixed(1)} (${(flops / least / 1e9).toFixed(1)})`;
}

for (const op of ops) {
  for (const weightType of weightTypes) {
    for (const text of shapes) {
      const [images, height, width, channels, outChannels] = text.split('x').map(Number) as [
        number,
        number,
        number,
        number,
        number,
      ];
      const around = (kernel - 1) >> 1;
      const shape = {
        images,
        height,
        width,
        channels,
        outChannels,
        weightType,
        stride,
        kernel: [kernel, kernel] as const,
        padding: [around, around, around, around] as const,
      };
      const { m, n, k } = conv2dProduct(shape);
      const pixels = images * height * width;
      const weights = Math.ceil((n * k) / (weightType === 'f32' ? 1 : 2));
      const flops = 2 * m * n * k;
      const line: string[] = [];
      const product = op === 'conv2d' ? conv2dProduct(shape) : conv2dBackwardProduct(shape);
      for (const variant of conv2dCandidates(op, shape, target)) {
        if (wanted.length > 0 && !wanted.includes(variant.name)) continue;
        const call =
          op === 'conv2d'
            ? conv2d<string>({ x: 'x', w: 'w', y: 'y' }, shape, target, variant)
            : conv2dBackward<string>({ dy: 'y', w: 'w', dx: 'x' }, shape, target, variant);
        line.push(`${variant.name} ${await speed([call], { x: pixels * channels, w: weights, y: m * n }, flops)}`);
      }
      if (!alone) {
        const sizes = { x: pixels * channels, u: m * k, w: weights, y: m * n };
        const unfolded =
          op === 'conv2d'
            ? linear<string>({ x: 'u', w: 'w', y: 'y' }, { m, n, k, weightType }, target)
            : linearBackward<string>({ dy: 'y', w: 'w', dx: 'u' }, { m, n, k, weightType }, target);
        const both =
          op === 'conv2d'
            ? [unfold<string>(shape, { x: 'x', y: 'u' }), unfolded]
            : [unfolded, fold<string>(shape, { dy: 'u', dx: 'x' })];
        line.push(`unfolded ${await speed(both, sizes, flops)}`);
        // The matmul of the same arithmetic; backward its product has as many columns as x has channels.
        const rows = { m: product.m, n: product.n, k: product.k, weightType };
        const bare =
          op === 'conv2d'
            ? linear<string>({ x: 'u', w: 'w', y: 'y' }, rows, target)
            : linearBackward<string>({ dy: 'u', w: 'w', dx: 'y' }, { ...rows, n: rows.k, k: rows.n }, target);
        const bareSizes = { u: rows.m * rows.k, w: Math.ceil(rows.n * rows.k), y: rows.m * rows.n };
        line.push(`matmul ${await speed([bare], bareSizes, 2 * rows.m * rows.n * rows.k)}`);
      }
      console.log(`${op} ${weightType} ${text}: ${line.join(', ')}`);
    }
  }
}
process.exit(0);
