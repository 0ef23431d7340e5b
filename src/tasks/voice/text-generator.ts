import type { Device } from '../../engine/device.ts';
import type { Program, ProgramPlan } from '../../engine/program.ts';
import type { SharedArenas } from '../../engine/shared-arenas.ts';
import { byteSize } from '../../engine/tensor.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import { distinctRanges, firstKey, rangeName } from '../../models/causal-lm/key-ranges.ts';
import type { AdapterSlot } from '../adapter-slot.ts';
import { ProgramCache } from '../program-cache.ts';
import type { VoiceBase } from './base.ts';
import { cacheStates, generationGraph } from './graphs.ts';

/** Prompts are read in pieces of these sizes; few sizes, so that few programs are prepared. */
const PREFILL_SIZES = [16, 64, 256];
const CACHE_STEP = 256;

const capacityFor = (tokens: number): number => Math.ceil(tokens / CACHE_STEP) * CACHE_STEP;

/** The sizes of the pieces in which so many tokens are read. */
function pieceSizes(tokens: number): number[] {
  const sizes: number[] = [];
  const largest = PREFILL_SIZES.at(-1)!;
  for (let left = tokens; left > 0; left -= sizes.at(-1)!) {
    sizes.push(left === 1 ? 1 : (PREFILL_SIZES.find((size) => size >= left) ?? largest));
  }
  return sizes;
}

/** Tokens of a prompt, and of what may follow it. */
export interface SampleLength {
  prompt: number;
  reply: number;
}

const longest = (samples: readonly SampleLength[]): number =>
  Math.max(...samples.map(({ prompt, reply }) => prompt + reply));

/** The sizes of all pieces that conversations of these lengths are read in. */
const sizesOf = (samples: readonly SampleLength[]): number[] => [
  ...new Set([1, ...samples.flatMap(({ prompt }) => pieceSizes(prompt))]),
];

type Adapter = Pick<AdapterSlot, 'hook' | 'buffers'>;

function planOf(base: VoiceBase, hook: Adapter['hook'], tokens: number, capacity: number): ProgramPlan {
  return base.planOf(generationGraph(base.graphOptions(hook), tokens, { tokens: capacity }));
}

/** What conversations of these sizes take beside the weights: programs, and bytes of their key/value caches. */
export function generationPlans(
  base: VoiceBase,
  hook: Adapter['hook'],
  samples: readonly SampleLength[],
): { plans: ProgramPlan[]; cacheBytes: number } {
  if (samples.length === 0) return { plans: [], cacheBytes: 0 };
  const capacity = capacityFor(longest(samples));
  const states = cacheStates(base.graphOptions(hook), { tokens: capacity });
  return {
    plans: sizesOf(samples).map((size) => planOf(base, hook, size, capacity)),
    cacheBytes: [...states.values()].reduce((sum, state) => sum + byteSize(state), 0),
  };
}

/** Runs a model token by token with key/value caches that stay on the device. */
export class TextGenerator {
  readonly #base: VoiceBase;
  readonly #device: Device;
  readonly #adapter: Adapter;
  readonly #programs: ProgramCache;
  readonly #caches = new Map<string, GPUBuffer>();
  #capacity = 0;

  /** @param arenas those of a run, in which the programs take their turn */
  constructor(base: VoiceBase, adapter: Adapter, arenas?: SharedArenas) {
    this.#base = base;
    this.#device = base.device;
    this.#adapter = adapter;
    this.#programs = new ProgramCache(base, arenas);
  }

  /** Makes room for so many tokens. What the caches held is gone. */
  async reserve(tokens: number): Promise<void> {
    const capacity = capacityFor(tokens);
    if (capacity <= this.#capacity) return;
    this.#release();
    const states = cacheStates(this.#base.graphOptions(this.#adapter.hook), { tokens: capacity });
    await this.#device.guarded('the memory of the conversation', () => {
      for (const [key, state] of states) {
        const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
        this.#caches.set(key, this.#device.createBuffer(byteSize(state), usage, key));
      }
    });
    this.#capacity = capacity;
  }

  /** Allocates and compiles all that these conversations will need. */
  async prepare(samples: readonly SampleLength[]): Promise<void> {
    if (samples.length === 0) return;
    await this.reserve(longest(samples));
    for (const size of sizesOf(samples)) await this.#program(size);
  }

  #program(tokens: number): Promise<Program> {
    const { hook, buffers } = this.#adapter;
    const plan = (): ProgramPlan => planOf(this.#base, hook, tokens, this.#capacity);
    return this.#programs.get(String(tokens), plan, buffers, this.#caches);
  }

  /**
   * Takes in tokens at positions `from`, `from` + 1, … and returns the logits [vocabulary] after the last of them. Room for
   * them must have been reserved.
   */
  async read(ids: ArrayLike<number>, from: number, strength: number): Promise<Float32Array<ArrayBuffer>> {
    const ranges = distinctRanges(this.#base.lm.keyRanges);
    let logits: Float32Array<ArrayBuffer> | undefined;
    let done = 0;
    for (const size of pieceSizes(ids.length)) {
      const count = Math.min(size, ids.length - done);
      const start = from + done;
      // Padding sees the first key alone, and is written to the row that nobody reads.
      const position = (i: number): number => (i < count ? start + i : 0);
      const make = (value: (i: number) => number) => Uint32Array.from({ length: size }, (_, i) => value(i));
      const program = await this.#program(size);
      const outputs = await program.run(
        {
          ids: make((i) => (i < count ? ids[done + i]! : 0)),
          positions: make(position),
          cacheRows: make((i) => (i < count ? start + i : this.#capacity)),
          last: Uint32Array.of(count - 1),
          ...Object.fromEntries(
            ranges.map((range) => [
              `keyRanges${rangeName(range)}`,
              Uint32Array.from({ length: 2 * size }, (_, i) => {
                const at = position(i >> 1);
                return i % 2 === 0 ? firstKey(range, at) : at + 1;
              }),
            ]),
          ),
        },
        { ...IDLE_STEP, strength },
      );
      logits = outputs['logits'];
      done += count;
    }
    if (!logits) throw new Error('nothing to read');
    return logits;
  }

  #release(): void {
    this.#programs.release();
    for (const buffer of this.#caches.values()) this.#device.destroyBuffer(buffer);
    this.#caches.clear();
    this.#capacity = 0;
  }

  destroy(): void {
    this.#release();
  }
}
