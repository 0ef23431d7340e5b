/** Counts what any WebGPU program does, by watching the browser's own functions: dispatches, submits, bytes of buffers. */

export interface Counts {
  dispatches: number;
  submits: number;
}

interface DeviceBytes {
  live: number;
  peak: number;
}

const bytes = new WeakMap<GPUDevice, DeviceBytes>();
const counts: Counts = { dispatches: 0, submits: 0 };

/** Call before anything opens a device. The cost of a counted call is far below a microsecond. */
export function installCounters(): void {
  const sizes = new WeakMap<GPUBuffer, { device: GPUDevice; size: number }>();
  const { createBuffer } = GPUDevice.prototype;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    const seen = bytes.get(this) ?? { live: 0, peak: 0 };
    seen.live += buffer.size;
    seen.peak = Math.max(seen.peak, seen.live);
    bytes.set(this, seen);
    sizes.set(buffer, { device: this, size: buffer.size });
    return buffer;
  };
  const { destroy } = GPUBuffer.prototype;
  GPUBuffer.prototype.destroy = function () {
    const known = sizes.get(this);
    if (known) {
      bytes.get(known.device)!.live -= known.size;
      sizes.delete(this);
    }
    return destroy.call(this);
  };
  const { dispatchWorkgroups, dispatchWorkgroupsIndirect } = GPUComputePassEncoder.prototype;
  GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...args) {
    counts.dispatches++;
    return dispatchWorkgroups.apply(this, args);
  };
  GPUComputePassEncoder.prototype.dispatchWorkgroupsIndirect = function (...args) {
    counts.dispatches++;
    return dispatchWorkgroupsIndirect.apply(this, args);
  };
  const { submit } = GPUQueue.prototype;
  GPUQueue.prototype.submit = function (...args) {
    counts.submits++;
    return submit.apply(this, args);
  };
}

export function readCounts(): Counts {
  return { ...counts };
}

/** Bytes of this device's buffers, now and at most (mapped staging buffers included). */
export function readBytes(device: GPUDevice): DeviceBytes {
  return { ...(bytes.get(device) ?? { live: 0, peak: 0 }) };
}
