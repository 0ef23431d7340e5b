import type { Device } from '../engine/device.ts';
import type { Graph } from '../engine/graph.ts';
import type { BufferSlice } from '../engine/kernels/kernel.ts';
import { ProgramPlan } from '../engine/program.ts';
import type { WeightSlices, WeightSource } from '../engine/weights.ts';
import { WeightStore } from '../engine/weights.ts';

/** A model on disk that says what it lacks of what a graph declares. */
export interface ComponentSource extends WeightSource {
  /** Throws UserError where a weight is missing or of another shape. */
  requireWeights(graph: Graph): void;
}

export interface LoadComponentOptions {
  onProgress?: ((fraction: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** A model of several parts, the weights of each on the device from when it is first needed. */
export abstract class ComponentBase<P extends string> implements WeightSlices {
  readonly device: Device;
  readonly #source: ComponentSource;
  readonly #parts: readonly P[];
  readonly #stores = new Map<P, WeightStore>();

  protected constructor(device: Device, source: ComponentSource, parts: readonly P[]) {
    this.device = device;
    this.#source = source;
    this.#parts = parts;
  }

  /** A graph that declares every weight of a part. */
  protected abstract weightsGraph(part: P): Graph;

  /** The part that a weight's key belongs to. */
  protected abstract componentOf(key: string): P;

  planOf(graph: Graph): ProgramPlan {
    return ProgramPlan.of(graph, this.device.target, this.device.bindingLimit);
  }

  protected async loadComponent(part: P, { onProgress, signal }: LoadComponentOptions = {}): Promise<void> {
    if (this.#stores.has(part)) return;
    const graph = this.weightsGraph(part);
    this.#source.requireWeights(graph);
    const report = onProgress && ((done: number, total: number) => onProgress(done / total));
    this.#stores.set(part, await WeightStore.load(this.device, graph, this.#source, report, signal));
  }

  /** Loads the parts that are not there yet. */
  async load(...parts: P[]): Promise<void> {
    for (const part of parts) await this.loadComponent(part);
  }

  /** Bytes that these parts take on the device. */
  bytesOf(parts: readonly P[]): number {
    return parts.reduce((sum, part) => sum + WeightStore.plan(this.weightsGraph(part), this.device).total, 0);
  }

  /** Loads these parts and frees all others. */
  async keepOnly(parts: readonly P[]): Promise<void> {
    this.unload(...this.#parts.filter((part) => !parts.includes(part)));
    await this.load(...parts);
  }

  slice(key: string): BufferSlice {
    const store = this.#stores.get(this.componentOf(key));
    if (!store) throw new Error(`the weight ${key} was not loaded`);
    return store.slice(key);
  }

  /** Frees parts that nothing uses any more. */
  unload(...parts: P[]): void {
    for (const part of parts) {
      this.#stores.get(part)?.destroy();
      this.#stores.delete(part);
    }
  }

  destroy(): void {
    this.unload(...this.#parts);
  }
}
