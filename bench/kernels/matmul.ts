/**
 * The matmul workshop: every variant of every op at given shapes, checked against float64 and timed alone.
 *
 *   node bench/node.mjs bench/kernels/matmul.ts [FILTER…]
 *
 * Filters are words: an op (linear), a shape (64x256x256 = MxNxK), a weight type (bf16), a family (family=gpu), a variant
 * (rows16); what is not named is all. Prints GFLOP/s of the best of several rounds and the milliseconds of compiling.
 */
import { Device } from '../../src/engine/device.ts';
import type { KernelCall, KernelFamily } from '../../src/engine/kernels/kernel.ts';
import type { WeightType } from '../../src/engine/weight-formats.ts';
import { loraSegments } from '../../src/engine/kernels/lora_segments.ts';
import { candidates, linear, linearBackward, type MatmulOp, type Variant } from '../../src/engine/kernels/matmul.ts';
import { loraDown, loraUpBackward, outer } from '../../src/engine/kernels/matmul_lora.ts';
import { SHADERS } from 'virtual:shaders';
import { IDLE_STEP } from '../../src/engine/wgsl.ts';
import {
  FIRST_BUFFER_BINDING,
  PARAMS_BINDING,
  STEP_BINDING,
  STEP_FIELDS,
  expandShader,
  packFields,
} from '../../src/engine/wgsl.ts';
import { openNodeGpu } from '../../src/headless/gpu.ts';

const words = process.argv.slice(2);
const chosen = <T extends string>(all: readonly T[]): T[] => {
  const named = all.filter((one) => words.includes(one));
  return named.length > 0 ? named : [...all];
};
const ops = chosen(['linear', 'linearBackward', 'loraDown', 'loraUpBackward', 'outer'] as const);
const weightTypes = chosen(['f32', 'bf16', 'f16'] as const);
const shapes = words.filter((word) => /^\d+x\d+x\d+$/.test(word));
if (shapes.length === 0)
  shapes.push('64x128x128', '64x344x128', '256x256x256', '256x688x256', '256x256x688', '256x512x256');
const family = words.find((word) => word.startsWith('family='))?.slice(7) as KernelFamily | undefined;
const wanted = words.filter((word) => word.startsWith('@')).map((word) => word.slice(1));
const rank = Number(words.find((word) => word.startsWith('rank='))?.slice(5) ?? 8);
const rounds = Number(words.find((word) => word.startsWith('rounds='))?.slice(7) ?? 12);

const device = await Device.open(await openNodeGpu(), family ? { family } : {});
const gpu = device.gpu;
console.log(`${device.info.description}; family ${device.target.family}`);
gpu.addEventListener('uncapturederror', (event) => console.log(event.error.message.slice(0, 2000)));

const buffers = new Map<string, GPUBuffer>();
function buffer(name: string, elements: number): void {
  buffers.get(name)?.destroy();
  const created = gpu.createBuffer({
    size: Math.max(64, 4 * elements),
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
  });
  const values = Float32Array.from({ length: elements }, () => Math.random() - 0.5);
  gpu.queue.writeBuffer(created, 0, values);
  buffers.set(name, created);
}

function calls(
  op: MatmulOp,
  m: number,
  n: number,
  k: number,
  weightType: WeightType,
  variant: Variant,
): KernelCall<string>[] {
  const segments = rank > 0 ? loraSegments([{ columns: n, rank, scale: 1 }]) : [];
  const target = device.target;
  if (op === 'linear') {
    const lora = rank > 0 ? { h: 'h', b: 'b', segments } : undefined;
    return [linear({ x: 'x', w: 'w', y: 'y', lora }, { m, n, k, weightType }, target, variant)];
  }
  if (op === 'linearBackward') {
    const lora = rank > 0 ? { g: 'h', a: 'b', r: rank } : undefined;
    return [linearBackward({ dy: 'dy', w: 'w', dx: 'dx', lora }, { m, n, k, weightType }, target, variant)];
  }
  if (op === 'loraDown') return [loraDown({ x: 'x', a: 'b', h: 'h' }, { m, k, segments }, target, variant)];
  if (op === 'loraUpBackward') return [loraUpBackward({ dy: 'dy', b: 'b', g: 'h' }, { m, segments }, target, variant)];
  return outer({ g: 'h', x: 'x', h: 'h', dy: 'dy', da: 'da', db: 'db' }, { m, k, segments }, target, variant);
}

function uniform(bytes: ArrayBuffer): GPUBuffer {
  const created = gpu.createBuffer({ size: bytes.byteLength, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  gpu.queue.writeBuffer(created, 0, bytes);
  return created;
}

const stepBytes = new ArrayBuffer(4 * STEP_FIELDS.length);
packFields(STEP_FIELDS, IDLE_STEP, new DataView(stepBytes));
const stepBuffer = uniform(stepBytes);

async function time(list: KernelCall<string>[]): Promise<{ seconds: number; compile: number; first: number }> {
  const began = performance.now();
  const ready: { pipeline: GPUComputePipeline; group: GPUBindGroup; grid: readonly [number, number, number] }[] = [];
  for (const call of list) {
    const shader = expandShader(SHADERS[call.shader]!, call.defines, SHADERS, call.baked ? call.params : undefined);
    const pipeline = await gpu.createComputePipelineAsync({
      layout: 'auto',
      compute: { module: gpu.createShaderModule({ code: shader.code }), entryPoint: 'main' },
    });
    const entries: GPUBindGroupEntry[] = shader.buffers.map(({ name }, i) => ({
      binding: FIRST_BUFFER_BINDING + i,
      resource: { buffer: buffers.get(call.buffers[name]!)! },
    }));
    if (shader.usesParams) {
      const bytes = new ArrayBuffer(4 * shader.params.length);
      packFields(shader.params, call.params, new DataView(bytes));
      entries.push({ binding: PARAMS_BINDING, resource: { buffer: uniform(bytes) } });
    }
    if (shader.usesStep) entries.push({ binding: STEP_BINDING, resource: { buffer: stepBuffer } });
    ready.push({
      pipeline,
      group: gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }),
      grid: call.grid,
    });
  }
  const compile = performance.now() - began;
  const round = async (times: number): Promise<number> => {
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < times; i++) {
      for (const { pipeline, group, grid } of ready) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...grid);
      }
    }
    pass.end();
    const commands = encoder.finish();
    const start = performance.now();
    gpu.queue.submit([commands]);
    await gpu.queue.onSubmittedWorkDone();
    return performance.now() - start;
  };
  const first = await round(1);
  const once = await round(1);
  const times = Math.max(1, Math.ceil(8 / once));
  let best = Infinity;
  for (let i = 0; i < rounds; i++) best = Math.min(best, (await round(times)) / times);
  return { seconds: best / 1000, compile, first };
}

const compiled = new Map<string, string>();
for (const op of ops) {
  for (const weightType of op === 'linear' || op === 'linearBackward' ? weightTypes : (['f32'] as const)) {
    for (const shape of shapes) {
      const [m, n, k] = shape.split('x').map(Number) as [number, number, number];
      const lengths = {
        x: m * k,
        w: n * k,
        y: m * n,
        dy: m * n,
        dx: m * k,
        h: m * rank,
        b: rank * (n + k),
        da: rank * k,
        db: rank * n,
      };
      for (const [name, length] of Object.entries(lengths)) buffer(name, length);
      const ask = op === 'outer' ? { m: rank, n: k, k: m } : op === 'linearBackward' ? { m, n: k, k: n } : { m, n, k };
      const line: string[] = [];
      for (const variant of candidates(op, { ...ask, weightType }, device.target)) {
        if (wanted.length > 0 && !wanted.includes(variant.name)) continue;
        const list = calls(op, m, n, k, weightType, variant);
        const { seconds, compile, first } = await time(list);
        const flops = list.reduce((sum, call) => sum + call.flops, 0);
        line.push(`${variant.name} ${(flops / seconds / 1e9).toFixed(1)}`);
        const key = `${op} ${weightType} ${variant.name}`;
        if (!compiled.has(key)) compiled.set(key, `compile ${compile.toFixed(0)} ms, first run ${first.toFixed(0)} ms`);
      }
      console.log(`${op} ${weightType} ${shape}: ${line.join(', ')}`);
    }
  }
}
for (const [key, text] of compiled) console.log(`${key}: ${text}`);
process.exit(0);
