/**
 * The norms' workshop: group norm and layer norm, forward and backward, at the shapes of image models.
 *
 *   node bench/node.mjs bench/kernels/norm.ts [WORD…]
 *
 * Words: a shape (64x320 or 2x64x320: images, pixels of a side, channels), family=gpu. Prints for every dispatch the best
 * milliseconds of several rounds (on software adapters processor time of all threads: divide by the cores) and GB/s.
 */
import { Device } from '../../src/engine/device.ts';
import { groupNorm, groupNormBackward, groupNormParts } from '../../src/engine/kernels/group_norm.ts';
import type { KernelCall, KernelFamily } from '../../src/engine/kernels/kernel.ts';
import { layerNorm, layerNormBackward } from '../../src/engine/kernels/layer_norm.ts';
import { runKernels } from '../../src/engine/kernels/run.ts';
import { SHADERS } from 'virtual:shaders';
import { openNodeGpu } from '../../src/headless/gpu.ts';

const words = process.argv.slice(2);
const family = words.find((word) => word.startsWith('family='))?.slice(7) as KernelFamily | undefined;
const shapes = words.filter((word) => /^\d+x/.test(word));
if (shapes.length === 0) shapes.push('8x1280', '16x1280', '32x640', '64x320', '64x960', '512x128');

const device = await Device.open(await openNodeGpu(), family ? { family } : {});
const { target } = device;
console.log(`${device.info.description || device.info.architecture}; family ${target.family}`);

function clock(): number {
  if (!device.info.isSoftware) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

for (const text of shapes) {
  const numbers = text.split('x').map(Number);
  const [images, side, channels] = (numbers.length === 3 ? numbers : [1, ...numbers]) as [number, number, number];
  const pixels = side * side;
  const count = images * pixels * channels;
  const random = (length: number) => Float32Array.from({ length }, () => Math.random() - 0.5);
  const common = { eps: 1e-5, weightType: 'f32' } as const;
  const group = { ...common, images, pixels, channels, groups: 32, activation: 'silu' } as const;
  const layer = { ...common, rows: images * pixels, width: channels };
  const affine = { x: 'x', weight: 'weight', bias: 'bias' };
  const backward = { dy: 'dy', x: 'x', weight: 'weight', stats: 'stats', dx: 'y' };
  const data = {
    x: random(count),
    dy: random(count),
    y: count,
    weight: random(channels),
    bias: random(channels),
    stats: random(2 * Math.max(images * 32, layer.rows)),
    means: 2 * images * 32,
    parts: groupNormParts(target, group),
  };
  const calls: KernelCall<string>[] = [
    ...groupNorm(target, group, { ...affine, parts: 'parts', stats: 'stats', y: 'y' }),
    ...groupNormBackward(target, group, { ...backward, bias: 'bias', parts: 'parts', means: 'means' }),
    ...layerNorm(target, layer, { ...affine, stats: 'stats', y: 'y' }),
    ...layerNormBackward(target, layer, backward),
  ];
  for (const call of calls) {
    let best = Infinity;
    for (let round = 0; round < 5; round++) {
      const repeat = 10;
      const before = clock();
      const { seconds } = await runKernels(device, SHADERS, [call], data, [], { repeat });
      const whole = clock() - before;
      best = Math.min(best, device.info.isSoftware ? whole / (repeat + 1) : 1000 * seconds);
    }
    console.log(
      `${text.padEnd(12)} ${call.shader.padEnd(26)} ${best.toFixed(3).padStart(8)} ms ` +
        `${(call.bytes / best / 1e6).toFixed(1).padStart(7)} GB/s`,
    );
  }
}
process.exit(0);
