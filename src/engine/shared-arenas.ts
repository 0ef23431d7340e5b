import type { Device } from './device.ts';
import type { ProgramPlan } from './program-plan.ts';

export const arenaUsage = (): GPUBufferUsageFlags =>
  GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;

/**
 * Arenas that several programs take turns in: a queue runs one after the other, and no intermediate outlives its run. A
 * plan's largest arena lies in the largest of these, and so on.
 */
export class SharedArenas {
  readonly sizes: readonly number[];
  #buffers: GPUBuffer[] = [];
  #device: Device | undefined;

  constructor(plans: readonly ProgramPlan[]) {
    const sizes: number[] = [];
    for (const plan of plans) {
      for (const [rank, size] of descending(plan.arenas.arenas).entries())
        sizes[rank] = Math.max(sizes[rank] ?? 0, size);
    }
    this.sizes = sizes;
  }

  get bytes(): number {
    return this.sizes.reduce((sum, size) => sum + size, 0);
  }

  /** Allocates, unless that is done already. */
  async allocate(device: Device): Promise<void> {
    if (this.#device) return;
    await device.guarded('the memory of a training step', () => {
      this.#device = device;
      for (const [i, size] of this.sizes.entries()) {
        this.#buffers.push(device.createBuffer(size, arenaUsage(), `arena ${i}`));
      }
    });
  }

  /** The buffers of a plan's arenas, in the plan's order. */
  buffersFor(plan: ProgramPlan): GPUBuffer[] {
    const order = descending(plan.arenas.arenas);
    const ranks = new Map<number, number>();
    return plan.arenas.arenas.map((size) => {
      const rank = order.indexOf(size, ranks.get(size) ?? 0);
      ranks.set(size, rank + 1);
      const buffer = this.#buffers[rank];
      if (!buffer) throw new Error('the shared arenas were made for other plans');
      return buffer;
    });
  }

  destroy(): void {
    for (const buffer of this.#buffers.splice(0)) this.#device?.destroyBuffer(buffer);
    this.#device = undefined;
  }
}

const descending = (sizes: readonly number[]): number[] => [...sizes].sort((a, b) => b - a);
