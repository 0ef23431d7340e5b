import type { LoraConfig } from '../../adapters/config.ts';
import { LoraLayout } from '../../adapters/layout.ts';
import type { AdaptableModule, LoraTarget } from '../../adapters/targets.ts';
import { resolveTargets } from '../../adapters/targets.ts';
import type { Device } from '../../engine/device.ts';
import type { Graph } from '../../engine/graph.ts';
import type { BufferSlice } from '../../engine/kernels/kernel.ts';
import { ProgramPlan } from '../../engine/program.ts';
import type { WeightSlices } from '../../engine/weights.ts';
import { WeightStore } from '../../engine/weights.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { MusicgenConfig } from '../../models/musicgen/config.ts';
import { musicgenModules, positionRows } from '../../models/musicgen/decoder.ts';
import { channelCodebooks, framesOfSteps } from '../../models/musicgen/delay.ts';
import type { MusicgenTokenizer } from '../../models/musicgen/tokenizer.ts';
import { MusicgenFolder } from '../../models/musicgen-folder.ts';
import type { Precision } from '../../models/weights.ts';
import { parsePrecision } from '../../models/weights.ts';
import type { AdaptableBase } from '../adapter-slot.ts';
import { SOUND_TARGETS, soundExtras } from './adapter.ts';
import { codecWeights } from './codec-graphs.ts';
import type { SoundGraphOptions } from './graphs.ts';
import { logitsGraph, lossGraph, textGraph } from './graphs.ts';
import type { SoundCache, SoundInfo } from './types.ts';

export interface LoadSoundOptions {
  /** stored (as in the file), f32, bf16 or f16. */
  precision?: string;
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal;
  /** Keeps codes and text states from run to run. */
  cache?: SoundCache;
}

/** What a use of the base needs on the device. */
export type SoundPart = 'decoder' | 'text' | 'codec';
export const SOUND_PARTS: readonly SoundPart[] = ['decoder', 'text', 'codec'];

/** A music model's description, and its weights on the device, each part from when it is first needed. */
export class SoundBase implements AdaptableBase, WeightSlices {
  readonly device: Device;
  readonly folder: MusicgenFolder;
  readonly precision: Precision;
  readonly cache: SoundCache | undefined;
  readonly #stores = new Map<SoundPart, WeightStore>();
  #tokenizer: Promise<MusicgenTokenizer> | undefined;

  private constructor(device: Device, folder: MusicgenFolder, options: LoadSoundOptions) {
    this.device = device;
    this.folder = folder;
    this.precision = parsePrecision(options.precision);
    this.cache = options.cache;
  }

  /** Reads the descriptions of all parts and loads the decoder. Throws UserError for what is missing, wrong or not supported. */
  static async load(device: Device, files: ModelFolder, options: LoadSoundOptions = {}): Promise<SoundBase> {
    const base = new SoundBase(device, await MusicgenFolder.open(files), options);
    try {
      await base.#load('decoder', options);
      return base;
    } catch (error) {
      base.destroy();
      throw error;
    }
  }

  get config(): MusicgenConfig {
    return this.folder.config;
  }

  /** Samples of one code frame. */
  get frameSamples(): number {
    return this.config.audio.ratios.reduce((product, ratio) => product * ratio, 1);
  }

  /** Code frames a second, rarely a whole number. */
  get frameRate(): number {
    return this.config.audio.sampleRate / this.frameSamples;
  }

  /** Frames that the decoder can make in one go. */
  get mostFrames(): number {
    return framesOfSteps(this.config.decoder, positionRows(this.config.decoder));
  }

  get info(): SoundInfo {
    const { config, folder } = this;
    const { decoder, audio, generation } = config;
    return {
      task: 'sound',
      parameters: folder.parameters(),
      sampleRate: audio.sampleRate,
      channels: decoder.channels,
      codebooks: channelCodebooks(decoder),
      frameRate: this.frameRate,
      longestSeconds: Math.min(30, Math.floor(this.mostFrames / this.frameRate)),
      precision: folder.dtypeOf('decoder.model.decoder.layers.0.fc1.weight', this.precision),
      targetModules: [
        ...SOUND_TARGETS,
        ...soundExtras(decoder.codebooks).filter((name) => this.modules.some((module) => module.name.endsWith(name))),
      ],
      generation: {
        guidance_scale: generation.guidanceScale,
        top_k: generation.topK,
        temperature: generation.temperature,
      },
    };
  }

  get bindingLimit(): number {
    const { maxStorageBufferBindingSize = 2 ** 27, maxBufferSize = 2 ** 28 } = this.device.info.limits;
    return Math.min(maxStorageBufferBindingSize, maxBufferSize);
  }

  graphOptions(adapter?: SoundGraphOptions['adapter']): SoundGraphOptions {
    return {
      config: this.config,
      dtypeOf: (name) => this.folder.dtypeOf(name, this.precision),
      adapter,
      maxBinding: this.bindingLimit,
    };
  }

  planOf(graph: Graph): ProgramPlan {
    return ProgramPlan.of(graph, this.device.target, this.bindingLimit);
  }

  /** A graph that declares every weight of a part. */
  #weightsGraph(part: SoundPart): Graph {
    const options = this.graphOptions();
    if (part === 'decoder') return logitsGraph(options, { rows: 1, length: 1, textLength: 1 });
    return part === 'text' ? textGraph(options, { texts: 1, length: 1 }) : codecWeights(options);
  }

  async #load(
    part: SoundPart,
    { onProgress, signal }: Pick<LoadSoundOptions, 'onProgress' | 'signal'> = {},
  ): Promise<void> {
    if (this.#stores.has(part)) return;
    const graph = this.#weightsGraph(part);
    this.folder.requireWeights(graph);
    const report = onProgress && ((done: number, total: number) => onProgress(done / total));
    this.#stores.set(part, await WeightStore.load(this.device, graph, this.folder, report, signal));
  }

  /** Loads the parts that are not there yet. */
  async need(...parts: SoundPart[]): Promise<void> {
    for (const part of parts) await this.#load(part);
  }

  /** Bytes that these parts take on the device. */
  bytesOf(parts: readonly SoundPart[]): number {
    return parts.reduce((sum, part) => sum + WeightStore.plan(this.#weightsGraph(part), this.device).total, 0);
  }

  /** The parts on the device. */
  get loaded(): SoundPart[] {
    return SOUND_PARTS.filter((part) => this.#stores.has(part));
  }

  slice(key: string): BufferSlice {
    const part = key.startsWith('text_encoder') ? 'text' : key.startsWith('audio_encoder') ? 'codec' : 'decoder';
    const store = this.#stores.get(part);
    if (!store) throw new Error(`the weight ${key} was not loaded`);
    return store.slice(key);
  }

  tokenizer(): Promise<MusicgenTokenizer> {
    this.#tokenizer ??= this.folder.tokenizer();
    return this.#tokenizer;
  }

  /** The modules that LoRA may be asked to adapt: the decoder's, under their names in the transformers class. */
  get modules(): AdaptableModule[] {
    return musicgenModules(this.config.decoder);
  }

  targets(lora: LoraConfig): LoraTarget[] {
    return resolveTargets(lora, this.modules);
  }

  layout(targets: readonly LoraTarget[], lora: LoraConfig, training: boolean): LoraLayout {
    const layout = new LoraLayout(targets, lora, training);
    lossGraph(this.graphOptions(layout), { rows: 1, length: 1, textLength: 1 });
    return layout;
  }

  /** Frees parts that are not needed for now. */
  release(...parts: SoundPart[]): void {
    for (const part of parts) {
      this.#stores.get(part)?.destroy();
      this.#stores.delete(part);
    }
  }

  get name(): string {
    return this.folder.name;
  }

  destroy(): void {
    this.release(...SOUND_PARTS);
  }
}
