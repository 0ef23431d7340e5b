import type { AdapterBuffers, FlatName } from './adapter-buffers.ts';
import type { Device } from './device.ts';
import type { BufferSlice } from './kernels/kernel.ts';
import type { Operand } from './ops/types.ts';
import type { ProgramPlan } from './program-plan.ts';
import { READ_BACK_RING, STEP_BYTES, tensorOf } from './program-plan.ts';
import type { SharedArenas } from './shared-arenas.ts';
import { arenaUsage } from './shared-arenas.ts';
import type { Tensor } from './tensor.ts';
import { byteSize } from './tensor.ts';
import type { WeightSlices } from './weights.ts';
import { FIRST_BUFFER_BINDING, PARAMS_BINDING, STEP_BINDING, STEP_FIELDS, packFields } from './wgsl.ts';

export { ProgramPlan, ioBytes } from './program-plan.ts';

/** Scalars that change from run to run; see STEP_FIELDS. */
export type StepValues = Readonly<Record<string, number>>;

export type InputData = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** What a program reads that outlives it. */
export interface Resources {
  weights?: WeightSlices;
  adapter?: AdapterBuffers;
  states?: ReadonlyMap<string, GPUBuffer>;
}

interface ReadyDispatch {
  pipeline: GPUComputePipeline;
  group: GPUBindGroup;
  grid: readonly [number, number, number];
  /** Rough work, for cutting a run into submits. */
  cost: number;
}

/** A submit is kept near this, so that the rest of the machine gets its turn (seconds). */
const SUBMIT_SECONDS = 0.1;

/** A plan made real on a device: buffers, pipelines and bind groups made once, replayed every run. */
export class Program {
  readonly plan: ProgramPlan;
  readonly #device: Device;
  readonly #buffers: GPUBuffer[] = [];
  readonly #dispatches: ReadyDispatch[] = [];
  readonly #stepBytes = new ArrayBuffer(STEP_BYTES);
  #inputs!: GPUBuffer;
  #step!: GPUBuffer;
  #arenas: GPUBuffer[] = [];
  readonly #staging: { buffer: GPUBuffer; busy: Promise<unknown> }[] = [];
  #runs = 0;
  #secondsPerCost: number;
  /** Milliseconds of encoding and submitting in the last run. */
  encodeMilliseconds = 0;

  private constructor(device: Device, plan: ProgramPlan) {
    this.#device = device;
    this.plan = plan;
    this.#secondsPerCost = device.info.isSoftware ? 1 / 5e9 : 1 / 2e12;
  }

  /** @param shared arenas made for this plan among others, and already allocated; without them the program has its own */
  static async build(device: Device, plan: ProgramPlan, resources: Resources, shared?: SharedArenas): Promise<Program> {
    const program = new Program(device, plan);
    try {
      await device.guarded('the memory of a training step', () => program.#allocate(shared));
      await device.guarded('preparing the kernels', () => program.#compile(resources));
      return program;
    } catch (error) {
      program.destroy();
      throw error;
    }
  }

  #allocate(shared: SharedArenas | undefined): void {
    const { plan } = this;
    const make = (size: number, usage: GPUBufferUsageFlags, label: string): GPUBuffer => {
      const buffer = this.#device.createBuffer(size, usage, label);
      this.#buffers.push(buffer);
      return buffer;
    };
    this.#arenas =
      shared?.buffersFor(plan) ?? plan.arenas.arenas.map((size, i) => make(size, arenaUsage(), `arena ${i}`));
    this.#inputs = make(Math.max(4, plan.inputBytes), arenaUsage(), 'inputs');
    this.#step = make(STEP_BYTES, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST, 'step');
    if (plan.outputBytes > 0) {
      for (let i = 0; i < READ_BACK_RING; i++) {
        const buffer = make(plan.outputBytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, 'read back');
        this.#staging.push({ buffer, busy: Promise.resolve() });
      }
    }
  }

  async #compile(resources: Resources): Promise<void> {
    const { gpu } = this.#device;
    const params = this.#device.createBuffer(
      this.plan.paramsBytes,
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      'params',
    );
    this.#buffers.push(params);
    gpu.queue.writeBuffer(params, 0, this.plan.params);
    const pipelines = await Promise.all(
      this.plan.dispatches.map(({ shader, call }) => this.#device.pipeline(shader.code, call.shader)),
    );
    this.plan.dispatches.forEach(({ call, shader, paramsOffset }, i) => {
      const pipeline = pipelines[i]!;
      const entries: GPUBindGroupEntry[] = shader.buffers.map(({ name }, index) => ({
        binding: FIRST_BUFFER_BINDING + index,
        resource: this.#resolve(call.buffers[name]!, resources),
      }));
      if (shader.usesParams) {
        entries.push({
          binding: PARAMS_BINDING,
          resource: { buffer: params, offset: paramsOffset, size: 4 * shader.params.length },
        });
      }
      if (shader.usesStep) entries.push({ binding: STEP_BINDING, resource: { buffer: this.#step } });
      const group = gpu.createBindGroup({ label: call.shader, layout: pipeline.getBindGroupLayout(0), entries });
      this.#dispatches.push({ pipeline, group, grid: call.grid, cost: call.flops + call.bytes + 1e5 });
    });
  }

  #resolve(operand: Operand, resources: Resources): BufferSlice {
    const tensor = tensorOf(operand);
    const slice = this.#storage(tensor, resources);
    if (!('tensor' in operand)) return slice;
    return { buffer: slice.buffer, offset: slice.offset + operand.offset, size: operand.size };
  }

  #storage(tensor: Tensor, resources: Resources): BufferSlice {
    const size = byteSize(tensor);
    const missing = (what: string): Error => new Error(`the program reads ${tensor.label}, but was given no ${what}`);
    switch (tensor.role) {
      case 'intermediate': {
        const { arena, offset } = this.plan.arenas.placements.get(tensor)!;
        return { buffer: this.#arenas[arena]!, offset, size };
      }
      case 'input': {
        const { offset } = this.plan.inputs.get(tensor.key!)!;
        return { buffer: this.#inputs, offset, size };
      }
      case 'weight':
        if (!resources.weights) throw missing('weights');
        return resources.weights.slice(tensor.key!);
      case 'parameter':
      case 'gradient':
        if (!resources.adapter) throw missing('adapter');
        return resources.adapter.slice(tensor.role === 'parameter' ? 'parameters' : 'gradients', tensor.key!);
      case 'flat':
        if (!resources.adapter) throw missing('adapter');
        return resources.adapter.whole(tensor.key! as FlatName);
      case 'state': {
        const buffer = resources.states?.get(tensor.key!);
        if (!buffer) throw missing('states');
        return { buffer, offset: 0, size };
      }
    }
  }

  /** Resolves when a further run may start: results of the last but one are here. */
  async ready(): Promise<void> {
    await this.#staging[this.#runs % READ_BACK_RING]?.busy;
  }

  /** `start` as soon as it may. */
  async run(
    inputs: Readonly<Record<string, InputData>>,
    step: StepValues,
  ): Promise<Record<string, Float32Array<ArrayBuffer>>> {
    await this.ready();
    return this.start(inputs, step);
  }

  /**
   * Writes the inputs and submits every dispatch, before it returns; call after `ready`. The promise resolves when the
   * outputs are here.
   */
  start(
    inputs: Readonly<Record<string, InputData>>,
    step: StepValues,
  ): Promise<Record<string, Float32Array<ArrayBuffer>>> {
    this.#device.check();
    const { gpu } = this.#device;
    for (const [key, { offset, size }] of this.plan.inputs) {
      const data = inputs[key];
      if (data?.byteLength !== size)
        throw new Error(`the input ${key} needs ${size} bytes, got ${data?.byteLength ?? 'none'}`);
      gpu.queue.writeBuffer(this.#inputs, offset, data);
    }
    packFields(STEP_FIELDS, step, new DataView(this.#stepBytes));
    gpu.queue.writeBuffer(this.#step, 0, this.#stepBytes);

    const slot = this.#staging[this.#runs++ % READ_BACK_RING];
    const start = performance.now();
    this.#encode(slot?.buffer);
    this.encodeMilliseconds = performance.now() - start;
    if (!slot) return Promise.resolve({});
    const reading = this.#read(slot.buffer, start);
    slot.busy = reading.catch(() => undefined);
    return reading;
  }

  #encode(staging: GPUBuffer | undefined): void {
    const { gpu } = this.#device;
    let encoder = gpu.createCommandEncoder();
    let pass = encoder.beginComputePass();
    let pipeline: GPUComputePipeline | undefined;
    let seconds = 0;
    for (const dispatch of this.#dispatches) {
      const estimate = dispatch.cost * this.#secondsPerCost;
      if (seconds > 0 && seconds + estimate > SUBMIT_SECONDS) {
        pass.end();
        gpu.queue.submit([encoder.finish()]);
        encoder = gpu.createCommandEncoder();
        pass = encoder.beginComputePass();
        pipeline = undefined;
        seconds = 0;
      }
      seconds += estimate;
      if (dispatch.pipeline !== pipeline) pass.setPipeline((pipeline = dispatch.pipeline));
      pass.setBindGroup(0, dispatch.group);
      pass.dispatchWorkgroups(...dispatch.grid);
    }
    pass.end();
    if (staging) {
      for (const { tensor, offset, size } of this.plan.outputs.values()) {
        const { arena, offset: from } = this.plan.arenas.placements.get(tensor)!;
        encoder.copyBufferToBuffer(this.#arenas[arena]!, from, staging, offset, size);
      }
    }
    gpu.queue.submit([encoder.finish()]);
  }

  async #read(staging: GPUBuffer, start: number): Promise<Record<string, Float32Array<ArrayBuffer>>> {
    const data = await this.#device.map(staging);
    this.#learnSpeed((performance.now() - start) / 1000);
    return Object.fromEntries(
      [...this.plan.outputs].map(([key, { offset, size }]) => [key, new Float32Array(data, offset, size / 4)]),
    );
  }

  /** The next run is cut into submits by how long this one took. The first includes compiling in some drivers. */
  #learnSpeed(seconds: number): void {
    if (this.#runs < 2) return;
    const cost = this.#dispatches.reduce((sum, dispatch) => sum + dispatch.cost, 0);
    this.#secondsPerCost = 0.7 * this.#secondsPerCost + 0.3 * (seconds / cost);
  }

  destroy(): void {
    for (const buffer of this.#buffers.splice(0)) this.#device.destroyBuffer(buffer);
  }
}
