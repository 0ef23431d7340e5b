import { expect, test } from 'vitest';
import { readBuffer, testDevice } from '../support/gpu.ts';
import {} from '../support/seeds.ts';

test('a compute shader runs in Node and gives exact integers back', async () => {
  const device = await testDevice();
  const count = 1000;
  const seed = Math.floor(Math.random() * 1e6);
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
  expect(output, `seed ${seed}`).toEqual(input.map((value) => Math.imul(value, 3) + 1));
  buffer.destroy();
});
