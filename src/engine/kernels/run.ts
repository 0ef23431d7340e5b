import type { Device } from '../device.ts';
import {
  FIRST_BUFFER_BINDING,
  IDLE_STEP,
  PARAMS_BINDING,
  STEP_BINDING,
  STEP_FIELDS,
  expandShader,
  packFields,
} from '../wgsl.ts';
import type { KernelCall } from './kernel.ts';

type Data = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/**
 * Runs kernels by themselves: uploads `data` by name (a number: so many zeros), dispatches the calls in order (their buffers are those names), and reads
 * back the buffers named in `read`. For tests and the kernel workshop; the executor is what training uses.
 * @param repeat dispatches the whole list so many times and reports the seconds of one round
 */
export async function runKernels(
  device: Device,
  library: Readonly<Record<string, string>>,
  calls: readonly KernelCall<string>[],
  data: Readonly<Record<string, Data | number>>,
  read: readonly string[],
  options: { step?: Partial<typeof IDLE_STEP>; repeat?: number } = {},
): Promise<{ results: Record<string, Float32Array<ArrayBuffer>>; seconds: number }> {
  const gpu = device.gpu;
  gpu.pushErrorScope('validation');
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffers = new Map<string, GPUBuffer>();
  for (const [name, values] of Object.entries(data)) {
    const buffer = device.createBuffer(typeof values === 'number' ? 4 * values : values.byteLength, usage, name);
    if (typeof values !== 'number') gpu.queue.writeBuffer(buffer, 0, values);
    buffers.set(name, buffer);
  }
  const uniform = (bytes: ArrayBuffer): GPUBuffer => {
    const buffer = device.createBuffer(bytes.byteLength, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    gpu.queue.writeBuffer(buffer, 0, bytes);
    return buffer;
  };
  const stepBytes = new ArrayBuffer(4 * STEP_FIELDS.length);
  packFields(STEP_FIELDS, { ...IDLE_STEP, ...options.step }, new DataView(stepBytes));
  const stepBuffer = uniform(stepBytes);
  const uniforms: GPUBuffer[] = [stepBuffer];
  const ready: { pipeline: GPUComputePipeline; group: GPUBindGroup; grid: readonly [number, number, number] }[] = [];
  for (const call of calls) {
    const source = library[call.shader];
    if (source === undefined) throw new Error(`there is no shader ${call.shader}`);
    const shader = expandShader(source, call.defines, library, call.baked ? call.params : undefined);
    const pipeline = await device.pipeline(shader.code, call.shader);
    const entries: GPUBindGroupEntry[] = shader.buffers.map(({ name }, i) => {
      const key = call.buffers[name];
      const buffer = key === undefined ? undefined : buffers.get(key);
      if (!buffer) throw new Error(`the kernel ${call.shader} was given no buffer ${name}`);
      return { binding: FIRST_BUFFER_BINDING + i, resource: { buffer } };
    });
    if (shader.usesParams) {
      const bytes = new ArrayBuffer(4 * shader.params.length);
      packFields(shader.params, call.params, new DataView(bytes));
      const buffer = uniform(bytes);
      uniforms.push(buffer);
      entries.push({ binding: PARAMS_BINDING, resource: { buffer } });
    }
    if (shader.usesStep) entries.push({ binding: STEP_BINDING, resource: { buffer: stepBuffer } });
    ready.push({
      pipeline,
      group: gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }),
      grid: call.grid,
    });
  }
  const round = (times: number) => {
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
    gpu.queue.submit([encoder.finish()]);
  };
  round(1);
  await gpu.queue.onSubmittedWorkDone();
  let seconds = 0;
  if (options.repeat) {
    const start = performance.now();
    round(options.repeat);
    await gpu.queue.onSubmittedWorkDone();
    seconds = (performance.now() - start) / 1000 / options.repeat;
  }
  const results: Record<string, Float32Array<ArrayBuffer>> = {};
  for (const name of read) {
    const source = buffers.get(name)!;
    const staging = device.createBuffer(source.size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    const encoder = gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, staging, 0, source.size);
    gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    results[name] = new Float32Array(staging.getMappedRange().slice(0));
    staging.unmap();
    device.destroyBuffer(staging);
  }
  for (const buffer of [...buffers.values(), ...uniforms]) device.destroyBuffer(buffer);
  const error = await gpu.popErrorScope();
  if (error) throw new Error(error.message);
  return { results, seconds };
}
