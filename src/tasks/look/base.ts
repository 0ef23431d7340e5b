import type { LoraConfig } from '../../adapters/lora-config.ts';
import type { LookFamily } from '../../adapters/kohya-names.ts';
import { LoraLayout } from '../../adapters/layout.ts';
import type { AdaptableModule, LoraTarget } from '../../adapters/targets.ts';
import { resolveTargets } from '../../adapters/targets.ts';
import type { Device } from '../../engine/device.ts';
import type { Graph } from '../../engine/graph.ts';
import { clipTextModules } from '../../models/clip/text-encoder.ts';
import type { ClipTokenizer } from '../../models/clip/tokenizer.ts';
import { DiffusionCheckpoint } from '../../models/stable-diffusion/checkpoint.ts';
import { readJson } from '../../models/files/folder.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import { isJsonObject } from '../../common/json.ts';
import { NoiseSchedule } from '../../models/schedulers/noise-schedule.ts';
import type { UnetConfig } from '../../models/stable-diffusion/unet-2d-condition.ts';
import { unetModules, unetSizeMultiple } from '../../models/stable-diffusion/unet-2d-condition.ts';
import type { Precision } from '../../models/files/precision.ts';
import { parsePrecision } from '../../models/files/precision.ts';
import type { AdaptableBase } from '../adapter-slot.ts';
import { ComponentBase } from '../component-base.ts';
import { TEXT_TARGETS } from './adapter.ts';
import type { LookGraphOptions } from './graphs.ts';
import { lossGraph, textGraph, unetGraph, vaeWeights } from './graphs.ts';
import type { LookCache, LookInfo } from './types.ts';

export interface LoadLookOptions {
  /** stored (as in the file), f32, bf16 or f16. */
  precision?: string;
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal;
  /** Keeps latents, text states and class pictures from run to run. */
  cache?: LookCache;
}

/** What a use of the base needs on the device. */
export type LookPart = 'unet' | 'vae' | 'text';
const LOOK_PARTS: readonly LookPart[] = ['unet', 'vae', 'text'];

/** Names that a UNet's target_modules may hold: the last parts of its layers' paths, as PEFT matches them. */
const lastParts = (module: string): string =>
  /(?:ff\.net\.\d+\.proj|ff\.net\.\d+|to_out\.\d+|samplers\.\d+\.conv|[^.]+)$/.exec(module)?.[0] ?? module;

const withoutComponent = (module: string): string => module.slice(module.indexOf('.') + 1);

/** An image model's description, and its weights on the device, each part from when it is first needed. */
export class LookBase extends ComponentBase<LookPart> implements AdaptableBase {
  readonly folder: DiffusionCheckpoint;
  readonly precision: Precision;
  readonly schedule: NoiseSchedule;
  readonly cache: LookCache | undefined;
  /** As diffusers' SDXL pipeline: no negative prompt is told as zeros. */
  readonly zerosForEmptyPrompt: boolean;
  readonly #files: ModelFolder;
  #tokenizers: Promise<ClipTokenizer[]> | undefined;

  private constructor(
    device: Device,
    files: ModelFolder,
    folder: DiffusionCheckpoint,
    zerosForEmptyPrompt: boolean,
    options: LoadLookOptions,
  ) {
    super(device, folder, LOOK_PARTS);
    this.folder = folder;
    this.#files = files;
    this.zerosForEmptyPrompt = zerosForEmptyPrompt;
    this.precision = parsePrecision(options.precision);
    this.schedule = NoiseSchedule.fromConfig(folder.schedulerConfig);
    this.cache = options.cache;
  }

  /** Reads the descriptions of all parts and loads the UNet. Throws UserError for what is missing, wrong or not supported. */
  static async load(device: Device, files: ModelFolder, options: LoadLookOptions = {}): Promise<LookBase> {
    const folder = await DiffusionCheckpoint.open(files);
    const index = files.files.includes('model_index.json') ? await readJson(files, 'model_index.json') : {};
    const asksZeros = !isJsonObject(index) || index['force_zeros_for_empty_prompt'] !== false;
    const base = new LookBase(device, files, folder, folder.family === 'sdxl' && asksZeros, options);
    try {
      await base.loadComponent('unet', options);
      return base;
    } catch (error) {
      base.destroy();
      throw error;
    }
  }

  get unetConfig(): UnetConfig {
    return this.folder.unet;
  }

  get latentFactor(): number {
    return this.folder.latentFactor;
  }

  /** Sides of pictures must be multiples of this. */
  get smallestSide(): number {
    return this.latentFactor * unetSizeMultiple(this.unetConfig);
  }

  /** Tokens of a prompt with start, end and padding. */
  get contextLength(): number {
    return this.folder.textEncoders[0]!.config.maxPositions;
  }

  /** SDXL is told sizes and a summary of the text. */
  get hasAddedConditions(): boolean {
    return this.unetConfig.added !== null;
  }

  get family(): LookFamily {
    return this.folder.family;
  }

  get info(): LookInfo {
    const { folder, schedule } = this;
    return {
      task: 'look',
      family: folder.family,
      parameters: folder.parameters(),
      resolution: folder.resolution,
      latentFactor: folder.latentFactor,
      predictionType: schedule.predictionType,
      precision: folder.dtypeOf('unet.conv_in.weight', this.precision),
      promptTokens: this.contextLength,
      targetModules: [...new Set(unetModules(this.unetConfig).map(({ name }) => lastParts(name)))],
    };
  }

  graphOptions(adapter?: LookGraphOptions['adapter']): LookGraphOptions {
    return {
      unet: this.unetConfig,
      text: this.folder.textEncoders,
      dtypeOf: (name) => this.folder.dtypeOf(name, this.precision),
      adapter,
      maxBinding: this.device.bindingLimit,
    };
  }

  protected override weightsGraph(part: LookPart): Graph {
    const options = this.graphOptions();
    if (part === 'unet') {
      const side = unetSizeMultiple(this.unetConfig);
      return unetGraph(options, { images: 1, height: side, width: side, contextLength: 1 });
    }
    if (part === 'text') return textGraph(options, { images: 1, length: 2 });
    return vaeWeights({ ...options, vae: this.folder.vae }, this.latentFactor);
  }

  /** Both text encoders lie in one store. */
  protected override componentOf(key: string): LookPart {
    return key.startsWith('text_encoder') ? 'text' : key.startsWith('vae.') ? 'vae' : 'unet';
  }

  /** A tokenizer for each text encoder. */
  tokenizers(): Promise<ClipTokenizer[]> {
    this.#tokenizers ??= this.folder.tokenizers();
    return this.#tokenizers;
  }

  /** The modules that LoRA may be asked to adapt, under their names with the component in front. */
  get modules(): AdaptableModule[] {
    return [
      ...this.folder.textEncoders.flatMap(({ name, config }) => clipTextModules(config, name)),
      ...unetModules(this.unetConfig),
    ];
  }

  /**
   * The modules that a configuration asks to adapt: of the UNet, and of the text encoders where they are trained. Names are
   * matched without the component, as diffusers gives each component a configuration of its own. A configuration that names
   * none of a text encoder's layers adapts its usual ones.
   */
  targets(lora: LoraConfig, { train_text_encoder }: { train_text_encoder: boolean }): LoraTarget[] {
    const of = (component: string, modules: readonly AdaptableModule[], config: LoraConfig): LoraTarget[] =>
      resolveTargets(
        config,
        modules.map((module) => ({ ...module, name: withoutComponent(module.name) })),
      ).map((target) => ({ ...target, name: `${component}.${target.name}` }));
    const unet = of('unet', unetModules(this.unetConfig), lora);
    if (!train_text_encoder) return unet;
    const text = this.folder.textEncoders.flatMap(({ name, config }) => {
      const modules = clipTextModules(config, name);
      const names = (list: string | string[]): boolean =>
        Array.isArray(list) && modules.some((module) => list.some((item) => module.name.endsWith(`.${item}`)));
      const chosen = names(lora.target_modules) ? lora : { ...lora, target_modules: [...TEXT_TARGETS] };
      return of(name, modules, chosen);
    });
    return [...text, ...unet];
  }

  /** Whether any of these modules is a text encoder's. */
  static trainsText(targets: readonly { name: string }[]): boolean {
    return targets.some(({ name }) => name.startsWith('text_encoder'));
  }

  layout(targets: readonly LoraTarget[], lora: LoraConfig, training: boolean): LoraLayout {
    const layout = new LoraLayout(targets, lora, training);
    const side = unetSizeMultiple(this.unetConfig);
    lossGraph(
      this.graphOptions(layout),
      { images: 1, height: side, width: side, contextLength: 2 },
      LookBase.trainsText(targets),
    );
    return layout;
  }

  get name(): string {
    return this.#files.name;
  }
}
