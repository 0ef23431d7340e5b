import { RandomStream } from '../../common/random.ts';
import { Program } from '../../engine/program.ts';
import type { ProgramPlan } from '../../engine/program.ts';
import type { SharedArenas } from '../../engine/shared-arenas.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import type { DecoderCache, DecoderShape } from '../../models/musicgen/decoder.ts';
import { cacheShapes, generationInputs, textCacheInputs } from '../../models/musicgen/decoder.ts';
import type { Codebooks } from '../../models/musicgen/delay.ts';
import { delayOf, isPredicted, stepsOfFrames } from '../../models/musicgen/delay.ts';
import type { AdapterSlot } from '../adapter-slot.ts';
import { greedy, sampleToken } from '../sampling.ts';
import type { SoundBase } from './base.ts';
import type { TextState } from './batch.ts';
import { padTexts } from './batch.ts';
import { stepGraph, textCacheGraph } from './graphs.ts';
import { paddedLength } from './text-encoder.ts';

/** How codes are chosen, under transformers' names. */
export interface CodeRequest {
  frames: number;
  seed: number;
  guidance_scale: number;
  do_sample: boolean;
  top_k: number;
  top_p: number;
  temperature: number;
  /** How much of the adapter is applied. */
  strength: number;
  signal?: AbortSignal | undefined;
}

/** Codes that became final with a step: a frame of each codebook, [K]. */
export interface CodeFrame {
  frame: number;
  codes: Int32Array<ArrayBuffer>;
}

type ComposerShape = Omit<DecoderShape, 'length'>;

/** Room for steps grows by so many, so that few programs serve all lengths. */
const CAPACITY_STEP = 256;

export const capacityFor = (steps: number): number => Math.ceil(steps / CAPACITY_STEP) * CAPACITY_STEP;

/** Bytes of the key/value caches. */
export function cacheBytes(base: SoundBase, shape: ComposerShape, cache: DecoderCache): number {
  let numbers = 0;
  for (const [rows, columns] of cacheShapes(base.config.decoder, shape, cache).values()) numbers += rows * columns;
  return 4 * numbers;
}

/** Programs of a composition: reading the text, and a step. */
export function composerPlans(
  base: SoundBase,
  adapter: Pick<AdapterSlot, 'hook'>,
  shape: ComposerShape,
  cache: DecoderCache,
): ProgramPlan[] {
  const options = base.graphOptions(adapter.hook);
  return [base.planOf(textCacheGraph(options, shape)), base.planOf(stepGraph(options, shape, cache))];
}

/** The training run that a composer belongs to. */
export interface ComposerRun {
  /** The programs take their turn in these. */
  arenas: SharedArenas;
  /** Tokens that all texts are filled up to, so that one program serves all. */
  textLength: number;
}

interface Ready {
  key: string;
  read: Program;
  step: Program;
  buffers: GPUBuffer[];
}

/** Writes codes step by step with key/value caches that stay on the device. */
export class Composer {
  readonly #base: SoundBase;
  readonly #adapter: AdapterSlot;
  readonly #run: ComposerRun | undefined;
  #ready: Ready | undefined;

  constructor(base: SoundBase, adapter: AdapterSlot, run?: ComposerRun) {
    this.#base = base;
    this.#adapter = adapter;
    this.#run = run;
  }

  /** Caches and programs, kept for the next composition of the same kind. */
  async #prepare(shape: ComposerShape, cache: DecoderCache): Promise<Ready> {
    const key = JSON.stringify([shape, cache]);
    if (this.#ready?.key === key) return this.#ready;
    this.#release();
    const { device } = this.#base;
    await this.#base.load('decoder');
    await this.#run?.arenas.allocate(device);
    const ready: Partial<Ready> & { buffers: GPUBuffer[] } = { buffers: [] };
    const states = new Map<string, GPUBuffer>();
    try {
      await device.guarded('the memory of a composition', () => {
        for (const [name, [rows, columns]] of cacheShapes(this.#base.config.decoder, shape, cache)) {
          const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
          const buffer = device.createBuffer(4 * rows * columns, usage, name);
          ready.buffers.push(buffer);
          states.set(name, buffer);
        }
      });
      const { buffers } = this.#adapter;
      const resources = { weights: this.#base, states, ...(buffers && { adapter: buffers }) };
      const [read, step] = composerPlans(this.#base, this.#adapter, shape, cache);
      ready.read = await Program.build(device, read!, resources, this.#run?.arenas);
      ready.step = await Program.build(device, step!, resources, this.#run?.arenas);
    } catch (error) {
      ready.read?.destroy();
      for (const buffer of ready.buffers) device.destroyBuffer(buffer);
      throw error;
    }
    this.#ready = { key, ...ready } as Ready;
    return this.#ready;
  }

  /**
   * Frames of codes in order, as transformers' generate makes them: the delay pattern, classifier-free guidance
   * uncond + scale · (cond - uncond), temperature, top_k, top_p. The same request gives the same codes.
   */
  async *compose(text: TextState, request: CodeRequest): AsyncGenerator<CodeFrame> {
    const { decoder, startId, text: encoder } = this.#base.config;
    const { codebooks } = decoder;
    const { frames, seed, guidance_scale: scale, do_sample, strength, signal } = request;
    const steps = stepsOfFrames(decoder, frames);
    const texts = scale > 1 ? [text, null] : [text];
    const shape = { rows: texts.length, textLength: Math.max(paddedLength(text.tokens), this.#run?.textLength ?? 0) };
    const cache = { capacity: capacityFor(steps) };
    const { states, mask } = padTexts(texts, shape.textLength, encoder.hiddenSize);
    const ready = await this.#prepare(shape, cache);
    const values = { ...IDLE_STEP, strength };
    await ready.read.run(textCacheInputs(shape, states), values);
    const random = new RandomStream(seed, 'compose');
    const predicted = new Int32Array(steps * codebooks);
    let ids = new Int32Array(codebooks).fill(startId);
    for (let step = 0; step < steps; step++) {
      signal?.throwIfAborted();
      const told = Array.from(ids, (id) => new Array<number>(shape.rows).fill(id));
      const outputs = await ready.step.run(generationInputs(shape, cache, { step, ids: told, textMask: mask }), values);
      ids = Int32Array.from(ids, (_, k) => {
        if (!isPredicted(decoder, k, step, steps)) return startId;
        const logits = guided(outputs[`logits.${k}`]!, decoder.vocabSize, scale);
        return do_sample ? sampleToken(logits, request, random) : greedy(logits);
      });
      predicted.set(ids, step * codebooks);
      const frame = step - (steps - frames);
      if (frame >= 0) yield { frame, codes: frameCodes(predicted, frame, decoder) };
    }
  }

  #release(): void {
    if (!this.#ready) return;
    this.#ready.read.destroy();
    this.#ready.step.destroy();
    for (const buffer of this.#ready.buffers) this.#base.device.destroyBuffer(buffer);
    this.#ready = undefined;
  }

  destroy(): void {
    this.#release();
  }
}

/** [V] of logits [1 or 2, V]: with words, and without. */
function guided(logits: Float32Array<ArrayBuffer>, vocabulary: number, scale: number): Float32Array<ArrayBuffer> {
  if (logits.length === vocabulary) return logits;
  const out = new Float32Array(vocabulary);
  for (let i = 0; i < vocabulary; i++) {
    const without = logits[vocabulary + i]!;
    out[i] = without + scale * (logits[i]! - without);
  }
  return out;
}

/** The codes of a frame, each of which was predicted as many steps later as its codebook is delayed. */
function frameCodes(predicted: Int32Array, frame: number, books: Codebooks): Int32Array<ArrayBuffer> {
  return Int32Array.from(
    { length: books.codebooks },
    (_, k) => predicted[(frame + delayOf(books, k)) * books.codebooks + k]!,
  );
}
