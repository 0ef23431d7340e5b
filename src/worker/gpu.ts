import { Device } from '../engine/device.ts';
import { errorMessage } from './errors.ts';
import type { GpuReport } from './protocol.ts';

function report(state: GpuReport['state'], message = ''): GpuReport {
  return {
    state,
    vendor: '',
    architecture: '',
    description: '',
    hasF16: false,
    secure: globalThis.isSecureContext,
    message,
    maxBufferSize: 0,
  };
}

export function describeDevice(device: Device): GpuReport {
  const { info } = device;
  return {
    ...report(info.isSoftware ? 'software' : 'ready'),
    vendor: info.vendor,
    architecture: info.architecture,
    description: info.description,
    hasF16: info.hasF16,
    maxBufferSize: info.limits['maxBufferSize'] ?? 0,
  };
}

/** Opens the device, or says in which way that is impossible here. */
export async function openDevice(): Promise<{ device: Device | null; report: GpuReport }> {
  // Absent where the browser has no WebGPU or the page is not secure, whatever the types say.
  const gpu = (navigator as { gpu?: GPU }).gpu;
  if (!gpu) return { device: null, report: report('no-webgpu') };
  try {
    if (!(await gpu.requestAdapter())) return { device: null, report: report('no-adapter') };
    const device = await Device.open(gpu);
    return { device, report: describeDevice(device) };
  } catch (error) {
    return { device: null, report: report('failed', errorMessage(error)) };
  }
}
