import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { readBuffer, testDevice } from '../support/gpu.ts';
import { seeded } from '../support/seeds.ts';

seeded('a compute shader runs in Node and gives exact integers back', async ({ seed }) => {
  const device = await testDevice();
  const count = 1000;
  const input = Uint32Array.from({ length: count }, (_, i) => (i * 2654435761 + seed) >>> 0);
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const buffer = device.createBuffer({ size: input.byteLength, usage });
  device.queue.writeBuffer(buffer, 0, input);
  const code = `@group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < ${count}u) { x[id.x] = x[id.x] * 3u + 1u; }
    }`;
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
  });
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(Math.ceil(count / 64));
  pass.end();
  device.queue.submit([encoder.finish()]);
  const output = new Uint32Array(await readBuffer(device, buffer));
  expect(output).toEqual(input.map((value) => Math.imul(value, 3) + 1));
  buffer.destroy();
});

test('the event loop sleeps while the device works', async () => {
  const device = await testDevice();
  const buffer = device.createBuffer({ size: 4, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const code = `override rounds: u32;
    @group(0) @binding(0) var<storage, read_write> x: u32;
    @compute @workgroup_size(1) fn main() {
      for (var i = 0u; i < rounds; i++) { x = x * 1664525u + 1013904223u; }
    }`;
  const module = device.createShaderModule({ code });
  // Twice the work each time until there is a wait long enough. A loop that polls in every turn is never idle, however long.
  let idle = 0;
  for (let rounds = 2 ** 12; idle === 0 && rounds <= 2 ** 24; rounds *= 2) {
    const compute = { module, entryPoint: 'main', constants: { rounds } };
    const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute });
    const layout = pipeline.getBindGroupLayout(0);
    const bindGroup = device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer } }] });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(1);
    pass.end();
    device.queue.submit([encoder.finish()]);
    const before = performance.eventLoopUtilization();
    await readBuffer(device, buffer);
    idle = performance.eventLoopUtilization(before).idle;
  }
  expect(idle).toBeGreaterThan(0);
  buffer.destroy();
});
