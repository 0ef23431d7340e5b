// node bench/node.mjs bench/step.ts SHAPE [STEPS]: our training step of `npm run bench` in Node instead of the page, through the
// headless runner's device. Says the median step, the processor time of a step and the share of it that the main thread slept.
import { performance } from 'node:perf_hooks';
import { openNodeGpu } from '../src/headless/gpu.ts';
import { load, median } from './browser.mjs';
import { createOurStep } from './ours.ts';
import { SHAPES, makeWork } from './work.ts';

const [name = 'M', steps = '12'] = process.argv.slice(2);
const shape = SHAPES[name];
if (!shape) throw new Error(`There is no shape ${name}: choose from ${Object.keys(SHAPES).join(', ')}.`);
Object.defineProperty(globalThis, 'navigator', { value: { gpu: await openNodeGpu() } });
const side = await createOurStep(makeWork(shape));
await side.step();
await side.step();
const seconds: number[] = [];
const cpu = process.cpuUsage();
const loop = performance.eventLoopUtilization();
let loss = 0;
for (let i = 0; i < Number(steps); i++) {
  const start = performance.now();
  loss = await side.step();
  seconds.push((performance.now() - start) / 1000);
}
const { user, system } = process.cpuUsage(cpu);
const slept = 1 - performance.eventLoopUtilization(loop).utilization;
console.log(
  `${name} step ${median(seconds).toFixed(4)} s (median of ${seconds.length}) | ` +
    `${((user + system) / 1e6 / seconds.length).toFixed(4)} processor seconds a step | ` +
    `main thread asleep ${(100 * slept).toFixed(0)} % | loss ${loss} | load ${load()}`,
);
process.exit(0);
