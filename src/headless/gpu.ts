import { create, globals } from 'webgpu';
import { pacePolling } from './polling.ts';

// Dawn crashes when these are collected while work is queued, so they live as long as the process.
const kept: { gpu?: GPU; adapter?: GPUAdapter } = {};

/**
 * WebGPU in Node, by Dawn; its globals (GPUBufferUsage, ...) are installed too. The launcher (tools/gpu-env.mjs) tries one
 * Vulkan driver after the other: where this one gives no adapter, the process ends without a word with the status agreed on.
 */
export async function openNodeGpu(): Promise<GPU> {
  if (kept.gpu) return kept.gpu;
  Object.assign(globalThis, globals);
  pacePolling();
  const gpu = create(['enable-dawn-features=allow_unsafe_apis']);
  const adapter = await gpu.requestAdapter();
  if (!adapter) {
    const status = process.env['ATHANOR_NO_ADAPTER_STATUS'];
    if (status) process.exit(Number(status));
    throw new Error(
      'No WebGPU adapter was found: start through tools/with-gpu.mjs, or install a Vulkan driver or Chromium.',
    );
  }
  kept.gpu = gpu;
  kept.adapter = adapter;
  return gpu;
}
