import type { LoraConfig } from '../../adapters/lora-config.ts';
import { LoraLayout } from '../../adapters/layout.ts';
import type { AdaptableModule, LoraTarget } from '../../adapters/targets.ts';
import { resolveTargets } from '../../adapters/targets.ts';
import type { Device } from '../../engine/device.ts';
import type { Graph } from '../../engine/graph.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { MusicgenConfig } from '../../models/musicgen/musicgen-config.ts';
import { musicgenModules, positionRows } from '../../models/musicgen/decoder.ts';
import { channelCodebooks, framesOfSteps } from '../../models/musicgen/delay.ts';
import type { MusicgenTokenizer } from '../../models/t5/tokenizer.ts';
import { MusicgenCheckpoint } from '../../models/musicgen/checkpoint.ts';
import type { Precision } from '../../models/files/precision.ts';
import { parsePrecision } from '../../models/files/precision.ts';
import type { AdaptableBase } from '../adapter-slot.ts';
import { ComponentBase } from '../component-base.ts';
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
const SOUND_PARTS: readonly SoundPart[] = ['decoder', 'text', 'codec'];

/** A music model's description, and its weights on the device, each part from when it is first needed. */
export class SoundBase extends ComponentBase<SoundPart> implements AdaptableBase {
  readonly folder: MusicgenCheckpoint;
  readonly precision: Precision;
  readonly cache: SoundCache | undefined;
  #tokenizer: Promise<MusicgenTokenizer> | undefined;

  private constructor(device: Device, folder: MusicgenCheckpoint, options: LoadSoundOptions) {
    super(device, folder, SOUND_PARTS);
    this.folder = folder;
    this.precision = parsePrecision(options.precision);
    this.cache = options.cache;
  }

  /** Reads the descriptions of all parts and loads the decoder. Throws UserError for what is missing, wrong or not supported. */
  static async load(device: Device, files: ModelFolder, options: LoadSoundOptions = {}): Promise<SoundBase> {
    const base = new SoundBase(device, await MusicgenCheckpoint.open(files), options);
    try {
      await base.loadComponent('decoder', options);
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

  graphOptions(adapter?: SoundGraphOptions['adapter']): SoundGraphOptions {
    return {
      config: this.config,
      dtypeOf: (name) => this.folder.dtypeOf(name, this.precision),
      adapter,
      maxBinding: this.device.bindingLimit,
    };
  }

  protected override weightsGraph(part: SoundPart): Graph {
    const options = this.graphOptions();
    if (part === 'decoder') return logitsGraph(options, { rows: 1, length: 1, textLength: 1 });
    return part === 'text' ? textGraph(options, { texts: 1, length: 1 }) : codecWeights(options);
  }

  protected override componentOf(key: string): SoundPart {
    return key.startsWith('text_encoder') ? 'text' : key.startsWith('audio_encoder') ? 'codec' : 'decoder';
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

  get name(): string {
    return this.folder.name;
  }
}
