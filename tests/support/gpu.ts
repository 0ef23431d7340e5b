import { openNodeGpu } from '../../src/headless/gpu.ts';

const kept: { device?: Promise<GPUDevice> } = {};

/** WebGPU for a test of the gpu ring; a clear error where the ring was started without tools/with-gpu.mjs and finds no driver. */
export function testGpu(): Promise<GPU> {
  return openNodeGpu();
}

async function openDevice(): Promise<GPUDevice> {
  const adapter = await (await testGpu()).requestAdapter();
  if (!adapter) throw new Error('The WebGPU adapter that answered before is gone.');
  const requiredLimits: Record<string, number> = {};
  for (const name of [
    'maxBufferSize',
    'maxStorageBufferBindingSize',
    'maxStorageBuffersPerShaderStage',
    'maxComputeWorkgroupStorageSize',
    'maxComputeInvocationsPerWorkgroup',
    'maxComputeWorkgroupSizeX',
  ] as const) {
    requiredLimits[name] = adapter.limits[name];
  }
  const wanted = ['shader-f16', 'subgroups'] as const;
  const requiredFeatures = wanted.filter((name) => adapter.features.has(name));
  return adapter.requestDevice({ requiredFeatures, requiredLimits });
}

/** One plain device for all files of the ring, with the adapter's own limits. Tests that lose a device open their own. */
export function testDevice(): Promise<GPUDevice> {
  kept.device ??= openDevice();
  return kept.device;
}

/** The contents of a buffer with usage COPY_SRC, `size` bytes from its start. */
export async function readBuffer(device: GPUDevice, buffer: GPUBuffer, size = buffer.size): Promise<ArrayBuffer> {
  const staging = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const bytes = staging.getMappedRange().slice(0);
  staging.destroy();
  return bytes;
}
