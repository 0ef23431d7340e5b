import { UserError } from '../common/errors.ts';
import { KernelChoices } from './kernels/choices.ts';
import type { KernelTarget } from './kernels/kernel.ts';

export interface DeviceInfo {
  vendor: string;
  architecture: string;
  description: string;
  /** A processor pretending to be a graphics card: right, but slow. */
  isSoftware: boolean;
  hasF16: boolean;
  hasSubgroups: boolean;
  limits: Record<string, number>;
}

export interface DeviceOptions {
  powerPreference?: GPUPowerPreference;
  /** Tests prove the kernels of graphics cards on software adapters with this. */
  family?: KernelTarget['family'];
  /** Kernel variants that an earlier visit measured on this device: JSON of `Device.choices`. */
  choices?: Readonly<Record<string, string>>;
}

/** Limits that the engine uses; each is raised to what the adapter offers. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
] as const;

/** The engine cannot work with less: kernels bind up to 8 storage buffers and run 256 invocations a workgroup. */
const NEEDED: Partial<Record<(typeof LIMITS)[number], number>> = {
  maxStorageBuffersPerShaderStage: 8,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 16384,
};

/** The browser or the driver took the device away. What was not read back is gone; go on from the last checkpoint. */
export class DeviceLostError extends UserError {
  override name = 'DeviceLostError';

  constructor(message: string) {
    super(`The graphics device was lost (${message || 'no reason given'}). Go on from the last checkpoint.`);
  }
}

/** A shader that is not WGSL: a fault of ours, with what the compiler says of which lines. */
export class CompilationError extends Error {
  override name = 'CompilationError';
}

/** Undefined where the compiler has nothing to say. */
async function compilationError(module: GPUShaderModule, code: string, label: string) {
  const lines = code.split('\n');
  // A lost device has no messages either.
  const messages = (await module.getCompilationInfo().catch(() => undefined))?.messages ?? [];
  const errors = messages.filter(({ type }) => type === 'error');
  const said = errors.map(
    ({ lineNum, message }) => `line ${lineNum}: ${message}\n  ${lines[lineNum - 1]?.trim() ?? ''}`,
  );
  return said.length > 0
    ? new CompilationError(`The shader ${label} does not compile.\n${said.join('\n')}`)
    : undefined;
}

/** A WebGPU device with its buffers counted, so that what was planned can be compared with what is held. */
export class Device {
  readonly gpu: GPUDevice;
  readonly info: DeviceInfo;
  readonly target: KernelTarget;
  /** Kernel variants measured or asked for; keep its JSON for the next visit. */
  readonly choices: KernelChoices;
  readonly lost: Promise<{ reason: string; message: string }>;
  #allocated = 0;
  #peak = 0;
  #failure: Error | undefined;
  readonly #sizes = new Map<GPUBuffer, number>();
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();

  private constructor(gpu: GPUDevice, info: DeviceInfo, target: KernelTarget, choices: KernelChoices) {
    this.gpu = gpu;
    this.info = info;
    this.choices = choices;
    this.target = { ...target, choices };
    this.lost = gpu.lost.then(({ reason, message }) => {
      this.#failure ??= new DeviceLostError(message);
      return { reason, message };
    });
    gpu.addEventListener('uncapturederror', (event) => {
      this.#failure ??= new Error((event as GPUUncapturedErrorEvent).error.message);
    });
  }

  /** Throws what went wrong on the device since it was opened: it was lost, or a command was refused. */
  check(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Throws UserError where there is no adapter or its limits are too small. */
  static async open(gpu: GPU, options: DeviceOptions = {}): Promise<Device> {
    const adapter = await gpu.requestAdapter(
      options.powerPreference ? { powerPreference: options.powerPreference } : { powerPreference: 'high-performance' },
    );
    if (!adapter) {
      throw new UserError(
        'No graphics adapter answered. Turn on hardware acceleration in the browser, or update the driver.',
      );
    }
    const limits: Record<string, number> = {};
    for (const name of LIMITS) {
      limits[name] = adapter.limits[name];
      const needed = NEEDED[name];
      if (needed !== undefined && limits[name] < needed) {
        throw new UserError(`This graphics adapter is too small: ${name} is ${limits[name]}, and ${needed} is needed.`);
      }
    }
    const wanted = ['shader-f16', 'subgroups', 'timestamp-query'] as const;
    const features = wanted.filter((name) => adapter.features.has(name));
    const device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits: limits });
    const { vendor, architecture, description } = adapter.info;
    // Typings lag behind: isFallbackAdapter and the subgroup sizes are on GPUAdapterInfo.
    const info = adapter.info as GPUAdapterInfo & { isFallbackAdapter?: boolean; subgroupMinSize?: number };
    const isSoftware =
      Boolean(info.isFallbackAdapter) ||
      /swiftshader|llvmpipe|lavapipe|software/i.test(`${vendor} ${architecture} ${description}`);
    const hasSubgroups = features.includes('subgroups');
    return new Device(
      device,
      { vendor, architecture, description, isSoftware, hasF16: features.includes('shader-f16'), hasSubgroups, limits },
      {
        family: options.family ?? (isSoftware ? 'cpu' : 'gpu'),
        subgroups: hasSubgroups,
        subgroupSize: info.subgroupMinSize ?? 4,
        hasF16: features.includes('shader-f16'),
        maxInvocations: limits['maxComputeInvocationsPerWorkgroup']!,
        maxWorkgroupStorage: limits['maxComputeWorkgroupStorageSize']!,
      },
      new KernelChoices(options.choices),
    );
  }

  /** Bytes that one binding of a storage buffer may have; what WebGPU promises where nothing is said. */
  get bindingLimit(): number {
    const { maxStorageBufferBindingSize = 2 ** 27, maxBufferSize = 2 ** 28 } = this.info.limits;
    return Math.min(maxStorageBufferBindingSize, maxBufferSize);
  }

  /** Bytes of the buffers now held. */
  get allocatedBytes(): number {
    return this.#allocated;
  }

  /** The most bytes held at once since the last `resetPeak`. */
  get peakBytes(): number {
    return this.#peak;
  }

  resetPeak(): void {
    this.#peak = this.#allocated;
  }

  /** Creates a buffer (size rounded up to 4 bytes). Wrap the calls in `guarded` to learn of exhausted memory. */
  createBuffer(size: number, usage: GPUBufferUsageFlags, label?: string): GPUBuffer {
    const rounded = Math.max(4, Math.ceil(size / 4) * 4);
    const buffer = this.gpu.createBuffer({ size: rounded, usage, ...(label === undefined ? {} : { label }) });
    this.#sizes.set(buffer, rounded);
    this.#allocated += rounded;
    this.#peak = Math.max(this.#peak, this.#allocated);
    return buffer;
  }

  destroyBuffer(buffer: GPUBuffer): void {
    const size = this.#sizes.get(buffer);
    if (size === undefined) return;
    this.#sizes.delete(buffer);
    this.#allocated -= size;
    buffer.destroy();
  }

  /**
   * Maps `bytes` of a buffer for reading. Throws DeviceLostError where the device is gone: the mapping then fails first, for
   * reasons of its own, and the loss is told a moment later.
   */
  async map(buffer: GPUBuffer, bytes = buffer.size): Promise<ArrayBuffer> {
    try {
      await buffer.mapAsync(GPUMapMode.READ, 0, bytes);
    } catch (error) {
      await Promise.race([this.lost, new Promise((resolve) => setTimeout(resolve, 200))]);
      this.check();
      throw error;
    }
    this.check();
    const data = buffer.getMappedRange(0, bytes).slice(0);
    buffer.unmap();
    return data;
  }

  /** Compiles a kernel, or finds it compiled: pipelines are kept by their source for the life of the device. */
  pipeline(code: string, label: string): Promise<GPUComputePipeline> {
    let pipeline = this.#pipelines.get(code);
    if (!pipeline) {
      const module = this.gpu.createShaderModule({ code, label });
      pipeline = this.gpu.createComputePipelineAsync({
        label,
        layout: 'auto',
        compute: { module, entryPoint: 'main' },
      });
      pipeline = pipeline.catch(async (error: unknown) => {
        throw (await compilationError(module, code, label)) ?? error;
      });
      this.#pipelines.set(code, pipeline);
    }
    return pipeline;
  }

  get pipelineCount(): number {
    return this.#pipelines.size;
  }

  /** Runs `work` under out-of-memory and validation error scopes; either becomes an exception. */
  async guarded<R>(what: string, work: () => R | Promise<R>): Promise<R> {
    this.gpu.pushErrorScope('out-of-memory');
    this.gpu.pushErrorScope('validation');
    // Both scopes are popped even when the work throws, or they would catch somebody else's errors.
    const outcome = await Promise.resolve()
      .then(work)
      .then((value) => ({ value }))
      .catch((error: unknown) => ({ error }));
    const validation = this.gpu.popErrorScope();
    const memory = this.gpu.popErrorScope();
    const [invalid, exhausted] = await Promise.all([validation, memory]);
    if (exhausted) {
      throw new UserError(
        `The graphics memory is full (${what}). Close other programs, or choose a smaller base, batch or length.`,
      );
    }
    if ('error' in outcome && outcome.error instanceof CompilationError) throw outcome.error;
    if (invalid) throw new Error(`${what}: ${invalid.message}`);
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }

  destroy(): void {
    for (const buffer of [...this.#sizes.keys()]) this.destroyBuffer(buffer);
    this.gpu.destroy();
  }
}
