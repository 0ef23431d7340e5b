import type { LoraConfig } from '../../adapters/lora-config.ts';
import type { KohyaOptions } from '../../adapters/kohya-lora.ts';
import { LoraLayout } from '../../adapters/layout.ts';
import type { AdaptableModule, LoraTarget } from '../../adapters/targets.ts';
import { resolveTargets } from '../../adapters/targets.ts';
import type { Device } from '../../engine/device.ts';
import type { Graph } from '../../engine/graph.ts';
import type { Conditioner } from '../../models/diffusion/conditioner.ts';
import type { Denoiser, ExampleShape } from '../../models/diffusion/denoiser.ts';
import type { PictureAutoencoder, PictureModel, Size } from '../../models/diffusion/picture-model.ts';
import { openPictureModel } from '../../models/diffusion/registry.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { AdapterHook } from '../../models/layers/builder.ts';
import type { Process } from '../../models/schedulers/process.ts';
import type { Precision } from '../../models/files/precision.ts';
import { parsePrecision } from '../../models/files/precision.ts';
import type { AdaptableBase } from '../adapter-slot.ts';
import { ComponentBase } from '../component-base.ts';
import type { ConditionerGraphOptions, DenoiserGraphOptions } from '../denoising/graphs.ts';
import { conditionsGraph, lossGraph, predictionGraph } from '../denoising/graphs.ts';
import type { DenoisingBase } from '../denoising/plan.ts';
import { isBeside } from '../denoising/plan.ts';
import { autoencoderWeights } from './autoencoder-graphs.ts';
import type { AutoencoderGraphOptions } from './autoencoder-graphs.ts';
import type { LookCache, LookInfo } from './types.ts';

export interface LoadLookOptions {
  /** stored (as in the file), f32, bf16 or f16. */
  precision?: string;
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal;
  /** Keeps latents, conditions and class pictures from run to run. */
  cache?: LookCache;
}

/** What a use of the base needs on the device: its UNet or transformer, its autoencoder, all its text encoders. */
export type PictureComponent = 'denoiser' | 'vae' | 'text_encoder';
const PICTURE_COMPONENTS: readonly PictureComponent[] = ['denoiser', 'vae', 'text_encoder'];

const withoutComponent = (module: string): string => module.slice(module.indexOf('.') + 1);

/** An image model's description, and its weights on the device, each component from when it is first needed. */
export class LookBase extends ComponentBase<PictureComponent> implements AdaptableBase, DenoisingBase {
  readonly model: PictureModel;
  readonly precision: Precision;
  readonly cache: LookCache | undefined;

  private constructor(device: Device, model: PictureModel, options: LoadLookOptions) {
    super(device, model.weights, PICTURE_COMPONENTS);
    this.model = model;
    this.precision = parsePrecision(options.precision);
    this.cache = options.cache;
  }

  /** Reads the descriptions of all components and loads the denoiser. Throws UserError for what is missing, wrong or not supported. */
  static async load(device: Device, files: ModelFolder, options: LoadLookOptions = {}): Promise<LookBase> {
    const base = new LookBase(device, await openPictureModel(files), options);
    try {
      await base.loadComponent('denoiser', options);
      return base;
    } catch (error) {
      base.destroy();
      throw error;
    }
  }

  get denoiser(): Denoiser {
    return this.model.denoiser;
  }

  get process(): Process {
    return this.model.process;
  }

  get conditioner(): Conditioner {
    return this.model.conditioner;
  }

  get autoencoder(): PictureAutoencoder {
    return this.model.autoencoder;
  }

  /** What names in kohya's files depend on beside the family. */
  get kohyaOptions(): KohyaOptions {
    return this.model.adapterNames;
  }

  /** Sides of pictures must be multiples of this. */
  get smallestSide(): number {
    return this.autoencoder.sampleFactor * this.denoiser.sizeMultiple;
  }

  /** The shape of examples of a picture's size in pixels, with prompts of the usual length. */
  shapeOf(pixels: Size): ExampleShape {
    return { sample: this.autoencoder.sampleShape(pixels), lengths: this.conditioner.lengths };
  }

  get info(): LookInfo {
    const { model, denoiser } = this;
    return {
      task: 'look',
      family: model.family,
      parameters: model.weights.parameters(),
      resolution: model.resolution,
      latentFactor: this.autoencoder.sampleFactor,
      predictionType: this.process.predictionType,
      precision: model.weights.dtypeOf(denoiser.probe, this.precision),
      promptTokens: this.conditioner.promptTokens,
      targetModules: denoiser.targetModules,
    };
  }

  graphOptions(adapter?: AdapterHook): DenoiserGraphOptions & ConditionerGraphOptions & AutoencoderGraphOptions {
    const { denoiser, conditioner, autoencoder } = this;
    return {
      denoiser,
      conditioner,
      autoencoder,
      dtypeOf: (name) => this.model.weights.dtypeOf(name, this.precision),
      adapter,
      maxBinding: this.device.bindingLimit,
    };
  }

  protected override weightsGraph(component: PictureComponent): Graph {
    const options = this.graphOptions();
    const shape = { rows: 1, ...this.denoiser.smallest };
    if (component === 'denoiser') return predictionGraph(options, shape);
    return component === 'vae' ? autoencoderWeights(options) : conditionsGraph(options, shape);
  }

  /** All text encoders lie in one store. */
  protected override componentOf(key: string): PictureComponent {
    if (!isBeside(this.denoiser, key)) return 'denoiser';
    return key.startsWith(`${this.autoencoder.component}.`) ? 'vae' : 'text_encoder';
  }

  /** The modules that LoRA may be asked to adapt, under their names with the component in front. */
  get modules(): AdaptableModule[] {
    return [...this.conditioner.modules, ...this.denoiser.modules];
  }

  /**
   * The modules that a configuration asks to adapt: of the denoiser, and of the text encoders where they are trained. Names are
   * matched without the component, as diffusers gives each component a configuration of its own. A configuration that names
   * none of a text encoder's layers adapts its usual ones.
   */
  targets(lora: LoraConfig, { train_text_encoder }: { train_text_encoder: boolean }): LoraTarget[] {
    const of = (component: string, modules: readonly AdaptableModule[], config: LoraConfig): LoraTarget[] =>
      resolveTargets(
        config,
        modules.map((module) => ({ ...module, name: withoutComponent(module.name) })),
      ).map((target) => ({ ...target, name: `${component}.${target.name}` }));
    const { denoiser, conditioner } = this;
    const own = of(denoiser.component, denoiser.modules, lora);
    if (!train_text_encoder) return own;
    const text = conditioner.components.flatMap((component) => {
      const modules = conditioner.modules.filter(({ name }) => name.startsWith(`${component}.`));
      const names = (list: string | string[]): boolean =>
        Array.isArray(list) && modules.some((module) => list.some((item) => module.name.endsWith(`.${item}`)));
      const chosen = names(lora.target_modules) ? lora : { ...lora, target_modules: [...conditioner.usualTargets] };
      return of(component, modules, chosen);
    });
    return [...text, ...own];
  }

  /** The text encoders, where any of these modules is theirs. */
  conditionerOf(modules: readonly string[]): Conditioner | undefined {
    return modules.some((name) => isBeside(this.denoiser, name)) ? this.conditioner : undefined;
  }

  layout(targets: readonly LoraTarget[], lora: LoraConfig, training: boolean): LoraLayout {
    const layout = new LoraLayout(targets, lora, training);
    const conditioner = this.conditionerOf(targets.map(({ name }) => name));
    lossGraph(this.graphOptions(layout), { rows: 1, ...this.denoiser.smallest }, { conditioner });
    return layout;
  }

  get name(): string {
    return this.model.weights.name;
  }
}
