import type { AdapterBuffers } from '../engine/adapter-buffers.ts';
import type { ProgramPlan } from '../engine/program.ts';
import { Program } from '../engine/program.ts';
import type { SharedArenas } from '../engine/shared-arenas.ts';
import type { WeightSlices } from '../engine/weights.ts';
import type { Device } from '../engine/device.ts';

/** Programs over one base's weights, each built when it is first asked for and kept until `release`. */
export class ProgramCache {
  readonly #device: Device;
  readonly #weights: WeightSlices;
  readonly #arenas: SharedArenas | undefined;
  readonly #programs = new Map<string, Program>();

  /** @param arenas those of a run, in which the programs take their turn; without them each has its own */
  constructor(base: WeightSlices & { device: Device }, arenas?: SharedArenas) {
    this.#device = base.device;
    this.#weights = base;
    this.#arenas = arenas;
  }

  async get(
    key: string,
    plan: () => ProgramPlan,
    adapter?: AdapterBuffers,
    states?: ReadonlyMap<string, GPUBuffer>,
  ): Promise<Program> {
    let program = this.#programs.get(key);
    if (!program) {
      await this.#arenas?.allocate(this.#device);
      const resources = { weights: this.#weights, ...(adapter && { adapter }), ...(states && { states }) };
      program = await Program.build(this.#device, plan(), resources, this.#arenas);
      this.#programs.set(key, program);
    }
    return program;
  }

  release(): void {
    for (const program of this.#programs.values()) program.destroy();
    this.#programs.clear();
  }
}
