import { parseLoraConfig } from '../../../src/adapters/lora-config.ts';
import type { Adapter } from '../../../src/adapters/peft.ts';
import { AdapterBuffers, FlatLayout } from '../../../src/engine/adapter-buffers.ts';
import { Device } from '../../../src/engine/device.ts';
import type { Graph } from '../../../src/engine/graph.ts';
import type { KernelFamily } from '../../../src/engine/kernels/kernel.ts';
import type { InputData, StepValues } from '../../../src/engine/program.ts';
import { Program, ProgramPlan } from '../../../src/engine/program.ts';
import { IDLE_STEP } from '../../../src/engine/wgsl.ts';
import { elementCount } from '../../../src/engine/tensor.ts';
import type { DType, Tensor } from '../../../src/engine/tensor.ts';
import type { WeightSource } from '../../../src/engine/weights.ts';
import { WeightStore } from '../../../src/engine/weights.ts';
import type { ModelFolder } from '../../../src/models/files/folder.ts';
import type { WeightPiece, WeightType } from '../../../src/engine/weight-formats.ts';
import { weightFormat } from '../../../src/engine/weight-formats.ts';
import type { Examples } from '../../../src/tasks/voice/examples.ts';
import { padRow } from '../../../src/tasks/voice/packing.ts';
import { VoiceModel } from '../../../src/tasks/voice/model.ts';
import type { TrainOptions } from '../../../src/tasks/voice/model.ts';
import type { TrainingEvent } from '../../../src/tasks/voice/types.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';
import type { Recipe } from '../../../src/training/recipe.ts';
import { testGpu } from '../../support/gpu.ts';
import { Random } from '../../support/matmul.ts';

export { familyDevice, FAMILIES } from '../../support/kernels.ts';
export { tinyFiles, tinyFolder, TINY } from '../../support/tiny.ts';

/** A device of its own, for tests that count its bytes or lose it; destroy it afterwards. */
export async function ownDevice(family: KernelFamily = 'cpu'): Promise<Device> {
  return Device.open(await testGpu(), { family });
}

export type Values = Float32Array<ArrayBuffer>;

export interface GraphRun {
  inputs?: Record<string, InputData>;
  /** f32 values of every weight source. */
  weights?: Record<string, Values>;
  parameters?: Record<string, Values>;
  step?: Partial<StepValues>;
  /** Runs the program so many times, with these steps in place of one. */
  steps?: readonly Partial<StepValues>[];
  states?: Record<string, Values>;
}

/** Gives these values in whatever format is asked for. */
export const sourceOf = (weights: Readonly<Record<string, Values>>): WeightSource => ({
  async *stream(name: string, shape: readonly number[], dtype: DType): AsyncGenerator<WeightPiece> {
    const values = weights[name]!;
    if (values.length !== elementCount(shape)) throw new Error(`${name} is given ${values.length} values`);
    const format = weightFormat(dtype as WeightType);
    // In odd pieces, as a file arrives.
    const length = 3 * (format.group?.size ?? 1);
    await Promise.resolve();
    for (let at = 0; at < values.length; at += length) yield format.encode(values.slice(at, at + length));
  },
});

/** Runs a graph once, with all it needs made for it, and gives back outputs, gradients and states by key. */
export async function runGraph(
  device: Device,
  graph: Graph,
  { inputs = {}, weights = {}, parameters = {}, step = {}, steps = [step], states = {} }: GraphRun,
): Promise<{ outputs: Record<string, Values>; gradients: Record<string, Values>; states: Record<string, Values> }> {
  const source = sourceOf(weights);
  const layout = new FlatLayout();
  for (const [key, values] of Object.entries(parameters)) layout.add(key, values.length);
  const store = graph.weights.size > 0 ? await WeightStore.load(device, graph, source) : undefined;
  const adapter = layout.length > 0 ? await AdapterBuffers.create(device, layout, true) : undefined;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const stateBuffers = new Map<string, GPUBuffer>();
  for (const [key, values] of Object.entries(states)) {
    const buffer = device.createBuffer(values.byteLength, usage, key);
    device.gpu.queue.writeBuffer(buffer, 0, values);
    stateBuffers.set(key, buffer);
  }
  if (adapter) {
    const flat = new Float32Array(layout.length);
    for (const [key, values] of Object.entries(parameters)) flat.set(values, layout.ranges.get(key)!.offset);
    adapter.write('parameters', flat);
  }
  const plan = ProgramPlan.of(graph, device.target, device.info.limits['maxStorageBufferBindingSize']!);
  const program = await Program.build(device, plan, {
    ...(store && { weights: store }),
    ...(adapter && { adapter }),
    states: stateBuffers,
  });
  try {
    let outputs: Record<string, Values> = {};
    for (const values of steps) outputs = await program.run(inputs, { ...IDLE_STEP, ...values });
    const gradients: Record<string, Values> = {};
    if (adapter) {
      const flat = await adapter.read('gradients');
      for (const [key, { offset, length }] of layout.ranges) gradients[key] = flat.slice(offset, offset + length);
    }
    const kept: Record<string, Values> = {};
    for (const [key, buffer] of stateBuffers) kept[key] = await readBack(device, buffer);
    return { outputs, gradients, states: kept };
  } finally {
    program.destroy();
    adapter?.destroy();
    store?.destroy();
    for (const buffer of stateBuffers.values()) device.destroyBuffer(buffer);
  }
}

async function readBack(device: Device, buffer: GPUBuffer): Promise<Values> {
  const staging = device.gpu.createBuffer({
    size: buffer.size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const encoder = device.gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  device.gpu.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const values = new Float32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return values;
}

/**
 * |got − expected| / |expected| in the Euclidean norm; NaN anywhere gives NaN, which passes no bound.
 * @param least as normError's in tests/support/kernels.ts
 */
export function relativeError(got: ArrayLike<number>, expected: ArrayLike<number>, least = 0): number {
  if (got.length !== expected.length) return NaN;
  let difference = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (got[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(difference / Math.max(size, least ** 2));
}

export const weightOf = (graph: Graph, name: string, shape: readonly number[], dtype: DType = 'f32'): Tensor =>
  graph.weight(name, { dtype, sources: [{ name, shape }] });

export const wide = (values: ArrayLike<number>): Float64Array => Float64Array.from(values);

/** A recipe for a few quick steps, nothing held out. */
export function quickRecipe(fields: Partial<Recipe> = {}): Recipe {
  return parseRecipe({
    max_steps: 3,
    per_device_train_batch_size: 2,
    gradient_accumulation_steps: 1,
    learning_rate: 1e-2,
    lr_scheduler_type: 'linear',
    warmup_ratio: 0,
    eval_share: 0,
    eval_steps: 0,
    early_stopping_patience: 0,
    load_best_model_at_end: false,
    save_steps: 0,
    sample_steps: 0,
    max_length: 16,
    packing: false,
    ...fields,
  });
}

export const LORA = parseLoraConfig({ r: 4, lora_alpha: 8, target_modules: 'all-linear' });

/** Rows of random tokens, all labelled. */
export function randomExamples(seed: number, { rows = 6, heldOut = 0, length = 12, vocabulary = 61 } = {}): Examples {
  const random = new Random(seed);
  const make = () => {
    const ids = Uint32Array.from({ length: random.int(4, length) }, () => random.int(0, vocabulary - 1));
    return padRow({ inputIds: ids, labels: Int32Array.from(ids) }, { maxLength: length });
  };
  return {
    length,
    training: Array.from({ length: rows }, make),
    heldOut: Array.from({ length: heldOut }, make),
    report: undefined,
    prepared: true,
  };
}

export interface Trained {
  events: TrainingEvent[];
  losses: number[];
  adapter: Adapter;
  /** The flat buffer's values in tensor order, as the last checkpoint holds them. */
  checkpoint: Uint8Array<ArrayBuffer> | undefined;
  error: unknown;
}

/** Trains to the end, or to the error. */
export async function trained(
  model: VoiceModel,
  options: Partial<TrainOptions> & { examples: Examples; recipe: Recipe },
  onEvent: (event: TrainingEvent) => void | Promise<void> = () => undefined,
): Promise<Trained> {
  const events: TrainingEvent[] = [];
  let error: unknown;
  try {
    for await (const event of model.train({ adapter: LORA, ...options } as TrainOptions)) {
      events.push(event);
      await onEvent(event);
    }
  } catch (thrown) {
    error = thrown;
  }
  const losses = events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));
  const checkpoint = events.flatMap((event) => (event.type === 'checkpoint' ? [event.bytes] : [])).at(-1);
  return {
    events,
    losses,
    adapter: await model.currentAdapter().catch(() => ({ config: LORA, tensors: new Map() })),
    checkpoint,
    error,
  };
}

export async function withModel<R>(
  device: Device,
  folder: ModelFolder,
  body: (model: VoiceModel) => Promise<R>,
  precision?: string,
): Promise<R> {
  const model = await VoiceModel.load(device, folder, { ...(precision !== undefined && { precision }) });
  try {
    return await body(model);
  } finally {
    model.destroy();
  }
}
