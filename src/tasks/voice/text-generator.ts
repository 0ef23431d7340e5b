import type { AdapterBuffers } from '../../engine/adapter-buffers.ts';
import type { Device } from '../../engine/device.ts';
import { Program, ProgramPlan } from '../../engine/program.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import type { WeightStore } from '../../engine/weights.ts';
import type { VoiceGraphOptions } from './graphs.ts';
import { generationGraph } from './graphs.ts';

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

function cacheBytes({ kvHeads, headDim }: VoiceGraphOptions['config'], capacity: number): number {
  return (capacity + 1) * 2 * kvHeads * headDim * 4;
}

function planOf(options: VoiceGraphOptions, device: Device, tokens: number, capacity: number): ProgramPlan {
  return ProgramPlan.of(generationGraph(options, tokens, { tokens: capacity }), device.target, options.maxBinding);
}

/** What a generator takes beside the weights for conversations of these sizes, in bytes. */
export function generationBytes(options: VoiceGraphOptions, device: Device, talks: readonly SampleLength[]): number {
  if (talks.length === 0) return 0;
  const capacity = capacityFor(longest(talks));
  const sizes = [...new Set([1, ...talks.flatMap(({ prompt }) => pieceSizes(prompt))])];
  const programs = sizes.reduce((sum, size) => sum + planOf(options, device, size, capacity).totalBytes, 0);
  return programs + options.config.layers * cacheBytes(options.config, capacity);
}

/** Tokens of a prompt, and of what may follow it. */
export interface SampleLength {
  prompt: number;
  reply: number;
}

const longest = (talks: readonly SampleLength[]): number =>
  Math.max(...talks.map(({ prompt, reply }) => prompt + reply));

/** Runs a model token by token with key/value caches that stay on the device. */
export class TextGenerator {
  readonly #device: Device;
  readonly #options: VoiceGraphOptions;
  readonly #weights: WeightStore;
  readonly #adapter: AdapterBuffers | undefined;
  readonly #programs = new Map<number, Program>();
  readonly #caches = new Map<string, GPUBuffer>();
  #capacity = 0;

  constructor(device: Device, options: VoiceGraphOptions, weights: WeightStore, adapter: AdapterBuffers | undefined) {
    this.#device = device;
    this.#options = options;
    this.#weights = weights;
    this.#adapter = adapter;
  }

  /** Makes room for so many tokens. What the caches held is gone. */
  async reserve(tokens: number): Promise<void> {
    const capacity = capacityFor(tokens);
    if (capacity <= this.#capacity) return;
    this.#release();
    const { config } = this.#options;
    await this.#device.guarded('the memory of the conversation', () => {
      for (let layer = 0; layer < config.layers; layer++) {
        const bytes = cacheBytes(config, capacity);
        const buffer = this.#device.createBuffer(
          bytes,
          GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
          `cache ${layer}`,
        );
        this.#caches.set(`cache.${layer}`, buffer);
      }
    });
    this.#capacity = capacity;
  }

  /** Allocates and compiles all that these conversations will need. */
  async prepare(talks: readonly SampleLength[]): Promise<void> {
    if (talks.length === 0) return;
    await this.reserve(longest(talks));
    for (const size of new Set([1, ...talks.flatMap(({ prompt }) => pieceSizes(prompt))])) await this.#program(size);
  }

  async #program(tokens: number): Promise<Program> {
    let program = this.#programs.get(tokens);
    if (!program) {
      program = await Program.build(this.#device, planOf(this.#options, this.#device, tokens, this.#capacity), {
        weights: this.#weights,
        states: this.#caches,
        ...(this.#adapter && { adapter: this.#adapter }),
      });
      this.#programs.set(tokens, program);
    }
    return program;
  }

  /**
   * Takes in tokens at positions `from`, `from` + 1, … and returns the logits [vocabulary] after the last of them. Room for
   * them must have been reserved.
   */
  async read(ids: ArrayLike<number>, from: number, strength: number): Promise<Float32Array<ArrayBuffer>> {
    let logits: Float32Array<ArrayBuffer> | undefined;
    let done = 0;
    for (const size of pieceSizes(ids.length)) {
      const count = Math.min(size, ids.length - done);
      const start = from + done;
      const position = (i: number): number => (i < count ? start + i : 0);
      const make = (value: (i: number) => number) => Uint32Array.from({ length: size }, (_, i) => value(i));
      const program = await this.#program(size);
      const outputs = await program.run(
        {
          ids: make((i) => (i < count ? ids[done + i]! : 0)),
          positions: make(position),
          // Padding sees the first key alone, and is written to the row that nobody reads.
          keyRanges: Uint32Array.from({ length: 2 * size }, (_, i) => (i % 2 === 0 ? 0 : position(i >> 1) + 1)),
          cacheRows: make((i) => (i < count ? start + i : this.#capacity)),
          last: Uint32Array.of(count - 1),
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
    for (const program of this.#programs.values()) program.destroy();
    this.#programs.clear();
    for (const buffer of this.#caches.values()) this.#device.destroyBuffer(buffer);
    this.#caches.clear();
    this.#capacity = 0;
  }

  destroy(): void {
    this.#release();
  }
}
