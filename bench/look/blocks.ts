/**
 * Parts of Stable Diffusion 1.5 with random f16 weights, one after the other: seconds of a training step (LoRA of rank 16 on
 * attention and feed-forward, forward and backward, without the optimiser) or of an evaluation (two pictures, as guidance
 * wants), with the processor time of all threads (on a software adapter: divide by the cores), dispatches, operations and bytes, and what was planned beside what was held.
 *
 *   node bench/node.mjs bench/look/blocks.ts [WORD…]
 *
 * Words: parts (down0 to down3, mid, up0 to up3, unet, text, vae-encoder, vae-decoder; default the UNet's blocks), step or
 * sample, runs=1 (after the first; 0: the first alone), pixels=512, plan (nothing is run), json.
 */
import { LoraLayout } from '../../src/adapters/layout.ts';
import { initLora } from '../../src/adapters/init.ts';
import { resolveTargets } from '../../src/adapters/targets.ts';
import { AdapterBuffers } from '../../src/engine/adapter-buffers.ts';
import { Device } from '../../src/engine/device.ts';
import { Graph } from '../../src/engine/graph.ts';
import { Program, ProgramPlan } from '../../src/engine/program.ts';
import { WeightStore } from '../../src/engine/weights.ts';
import { IDLE_STEP } from '../../src/engine/wgsl.ts';
import { openNodeGpu } from '../../src/headless/gpu.ts';
import type { AdapterHook } from '../../src/models/layers/builder.ts';
import { ModelBuilder, adaptableProjections } from '../../src/models/layers/builder.ts';
import { unetModules } from '../../src/models/stable-diffusion/unet-2d-condition.ts';
import { LOOK_TARGETS, parseLookLora } from '../../src/tasks/look/adapter.ts';
import { load, median } from '../browser.mjs';
import { CARDS, onPaper, rooflineSeconds } from '../roofline.mjs';
import { PARTS, UNET, UNET_BLOCKS, partInputs, traceBlock, wholeGraph } from './parts.ts';
import type { GraphOptions, Purpose } from './parts.ts';
import { RANDOM } from './sd15.ts';

const words = process.argv.slice(2);
const numberOf = (name: string, usual: number): number =>
  Number(words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? usual);
const named = PARTS.filter((name) => words.includes(name));
const parts = named.length > 0 ? named : UNET_BLOCKS;
const purposes = (['step', 'sample'] as const).filter((name) => words.includes(name));
const runs = numberOf('runs', 1);
const pixels = numberOf('pixels', 512);

const device = await Device.open(await openNodeGpu());
const { limits } = device.info;
const maxBinding = Math.min(limits['maxStorageBufferBindingSize'] ?? 2 ** 27, limits['maxBufferSize'] ?? 2 ** 28);
if (!words.includes('json')) console.log(`${device.info.description}, ${pixels} pixels\n`);

function graphOf(name: string, adapter: AdapterHook | undefined, purpose: Purpose): Graph {
  const options: GraphOptions = { dtypeOf: () => 'f16', adapter, maxBinding };
  if (!UNET_BLOCKS.includes(name)) return wholeGraph(name, options, purpose);
  const graph = new Graph(maxBinding);
  const x = traceBlock(new ModelBuilder({ graph, ...options }), name, purpose);
  if (!purpose.training) {
    graph.output('y', x);
    return graph;
  }
  const [rows] = x.shape as [number, number];
  const [target, weight] = [graph.input('target', x.shape), graph.input('weight', [rows])];
  const { loss } = graph.emit('squaredError', { x, target, weight }, { withGradient: true });
  graph.output('loss', graph.emit('sum', { x: loss }, {}).y);
  graph.backward();
  return graph;
}

/** Rank 16 on what a look adapts, and on the projections that stand for what lies before a block. */
function loraOf(name: string, purpose: Purpose): { layout: LoraLayout; values: Float32Array<ArrayBuffer> } {
  const config = parseLookLora({ target_modules: [...LOOK_TARGETS, 'before', 'across0', 'across1', 'across2'] });
  const modules = UNET_BLOCKS.includes(name)
    ? adaptableProjections((b) => void traceBlock(b, name, { ...purpose, images: 1, pixels: 64 }))
    : unetModules(UNET);
  const targets = resolveTargets(config, modules);
  const layout = new LoraLayout(targets, config, true);
  graphOf(name, layout, purpose);
  return { layout, values: layout.pack(initLora(targets, config, 1)) };
}

async function measure(name: string, training: boolean): Promise<void> {
  const purpose: Purpose = { training, images: training || !/^(?:down|mid|up|unet)/.test(name) ? 1 : 2, pixels };
  const lora = training ? loraOf(name, purpose) : undefined;
  const graph = graphOf(name, lora?.layout, purpose);
  const inputs = partInputs(graph, name, purpose);
  const plan = ProgramPlan.of(graph, device.target, maxBinding);
  const planned =
    WeightStore.plan(graph, device).total + (lora ? AdapterBuffers.plan(lora.layout.flat, true) : 0) + plan.totalBytes;
  const seconds: number[] = [];
  const processor: number[] = [];
  const around = [load()];
  let held = 0;
  if (!words.includes('plan')) {
    device.resetPeak();
    const weights = await WeightStore.load(device, graph, RANDOM);
    const adapter = lora && (await AdapterBuffers.create(device, lora.layout.flat, true));
    adapter?.write('parameters', lora!.values);
    const start = performance.now();
    const program = await Program.build(device, plan, { weights, ...(adapter && { adapter }) });
    for (let run = 0; run <= runs; run++) {
      const from = run === 0 ? start : performance.now();
      const before = process.cpuUsage();
      const [values] = Object.values(await program.run(inputs, IDLE_STEP));
      seconds.push((performance.now() - from) / 1000);
      const { user, system } = process.cpuUsage(before);
      processor.push((user + system) / 1e6);
      if (!values!.every(Number.isFinite)) throw new Error(`${name} gave numbers that are not finite`);
    }
    held = device.peakBytes;
    program.destroy();
    adapter?.destroy();
    weights.destroy();
  }
  around.push(load());
  const dispatches = plan.dispatches.map(({ call }) => call);
  const [first, ...later] = seconds;
  if (words.includes('json')) {
    const onCards = Object.fromEntries(
      Object.entries(CARDS).map(([card, peak]) => [card, rooflineSeconds(dispatches, peak)]),
    );
    const { flops, bytesMoved } = plan;
    console.log(
      JSON.stringify({
        ...{
          adapter: device.info.description,
          name,
          training,
          pixels,
          dispatches: dispatches.length,
          flops,
          bytesMoved,
        },
        ...{ planned, held, first, seconds: later, processor, load: around, onCards },
      }),
    );
    return;
  }
  const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
  const time =
    first === undefined
      ? 'not run'
      : `${later.length > 0 ? `${median(later).toFixed(2)} s, ` : ''}first ${first.toFixed(2)} s, ` +
        `processor ${median(processor.slice(-Math.max(1, runs))).toFixed(2)} s (load ${around.map((each) => each.toFixed(1)).join(' to ')})`;
  console.log(
    [
      `${name} ${training ? 'step' : 'sample'}: ${time}`,
      `${dispatches.length} dispatches, ${(plan.flops / 1e9).toFixed(1)} GFLOP, ${(plan.bytesMoved / 1e9).toFixed(2)} GB moved`,
      `planned ${mebibytes(planned)} MiB, held ${mebibytes(held)} MiB${held === planned || held === 0 ? '' : ', not the same'}`,
      `on paper ${onPaper(dispatches)}`,
    ].join('\n  '),
  );
}

for (const name of parts) {
  const kinds = /^(?:text|vae)/.test(name)
    ? (['sample'] as const)
    : purposes.length > 0
      ? purposes
      : (['step', 'sample'] as const);
  for (const kind of kinds) await measure(name, kind === 'step');
}
process.exit(0);
