/**
 * The codec alone: how much faster than real time sound goes into codes and back, with the processor time of all threads, what
 * it holds of the device, and what a card could not be faster than.
 *
 *   node bench/node.mjs bench/sound/codec.ts FOLDER [SECONDS]
 *
 * FOLDER is a MusicGen folder, such as bench/sound/random-folder.ts writes; noise is the sound, since any costs the same.
 */
import { Device } from '../../src/engine/device.ts';
import type { ProgramPlan } from '../../src/engine/program.ts';
import { NodeFolder } from '../../src/headless/files.ts';
import { openNodeGpu } from '../../src/headless/gpu.ts';
import { SoundBase } from '../../src/tasks/sound/base.ts';
import { SoundCodec } from '../../src/tasks/sound/codec.ts';
import { load } from '../browser.mjs';
import { onPaper } from '../roofline.mjs';
import { generator } from '../work.ts';

const [folder, length = '10'] = process.argv.slice(2);
if (folder === undefined) throw new Error('Say which model: node bench/node.mjs bench/sound/codec.ts FOLDER [SECONDS]');
const seconds = Number(length);

const device = await Device.open(await openNodeGpu());
const base = await SoundBase.load(device, new NodeFolder(folder));
const { audio, decoder } = base.config;
const random = generator(1);
const sound = Array.from({ length: decoder.channels }, () =>
  Float32Array.from({ length: seconds * audio.sampleRate }, () => 0.2 * random() - 0.1),
);
const codec = new SoundCodec(base);
console.log(`${device.info.description}; ${seconds} s at ${audio.sampleRate} Hz, ${decoder.channels} channel(s)`);

/** Twice: compiling counts in the first run alone. */
async function time(name: string, plans: readonly ProgramPlan[], work: () => Promise<void>): Promise<void> {
  for (const run of ['first', 'again']) {
    const [from, before] = [performance.now(), process.cpuUsage()];
    await work();
    const [spent, cpu] = [(performance.now() - from) / 1000, process.cpuUsage(before)];
    const processor = (cpu.user + cpu.system) / 1e6;
    console.log(
      `${name}, ${run}: ${spent.toFixed(2)} s by the clock (${(seconds / spent).toFixed(2)} times real time), ` +
        `${processor.toFixed(2)} processor seconds, load ${load().toFixed(1)}`,
    );
  }
  const calls = plans.flatMap(({ dispatches }) => dispatches.map(({ call }) => call));
  const flops = plans.reduce((sum, plan) => sum + plan.flops, 0);
  const moved = plans.reduce((sum, plan) => sum + plan.bytesMoved, 0);
  console.log(
    `  one window of each part: ${calls.length} dispatches, ${(flops / 1e9).toFixed(2)} GFLOP, ${(moved / 1e9).toFixed(3)} GB moved, ` +
      `at the least ${onPaper(calls)}; held at most ${(device.peakBytes / 2 ** 20).toFixed(0)} MiB`,
  );
}

let codes = new Int32Array();
device.resetPeak();
await time('into codes', codec.encoderPlans, async () => {
  codes = Int32Array.from((await codec.encode(sound)).codes);
});
device.resetPeak();
await time('back', codec.decoderPlans, async () => void (await codec.decode(codes)));
codec.release();
