import type { LoraConfig } from '../../adapters/lora-config.ts';
import type { LoraTarget } from '../../adapters/targets.ts';
import { resolveTargets } from '../../adapters/targets.ts';
import { LoraLayout } from '../../adapters/layout.ts';
import type { Device } from '../../engine/device.ts';
import { UserError } from '../../common/errors.ts';
import { quoteValue } from '../../common/json.ts';
import type { Graph } from '../../engine/graph.ts';
import { elementCount } from '../../engine/tensor.ts';
import type { CausalLm, CausalLmModule } from '../../models/causal-lm/causal-lm.ts';
import { causalLmModules, positionsOf, targetModules } from '../../models/causal-lm/causal-lm.ts';
import { Checkpoint } from '../../models/files/checkpoint.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import { readJson } from '../../models/files/folder.ts';
import type { CausalLmParser } from '../../models/causal-lm/registry.ts';
import { parseCausalLm } from '../../models/causal-lm/registry.ts';
import type { Precision } from '../../models/files/precision.ts';
import { CheckpointSource } from '../../models/causal-lm/weights.ts';
import { deviceDtype } from '../../models/files/precision.ts';
import type { AdaptableBase } from '../adapter-slot.ts';
import type { LoadComponentOptions } from '../component-base.ts';
import { ComponentBase } from '../component-base.ts';
import type { VoiceGraphOptions } from './graphs.ts';
import { logitsGraph } from './graphs.ts';
import type { ModelInfo } from './types.ts';

/** A language model's description, and its weights on the device. */
export class VoiceBase extends ComponentBase<'model'> implements AdaptableBase {
  readonly lm: CausalLm;
  readonly precision: Precision;
  readonly checkpoint: Checkpoint;
  /** The modules that LoRA may be asked to adapt, under transformers' names. */
  readonly modules: readonly CausalLmModule[];

  private constructor(device: Device, lm: CausalLm, checkpoint: Checkpoint, precision: Precision) {
    super(device, new CheckpointSource(checkpoint, lm), ['model']);
    this.lm = lm;
    this.checkpoint = checkpoint;
    this.precision = precision;
    this.modules = causalLmModules(lm);
  }

  /** @param options.known language models by model_type; default those of the registry */
  static async load(
    device: Device,
    folder: ModelFolder,
    options: LoadComponentOptions & {
      precision: Precision;
      known?: Readonly<Record<string, CausalLmParser>> | undefined;
    },
  ): Promise<VoiceBase> {
    if (!folder.files.includes('config.json')) {
      throw new UserError(
        `“${folder.name}” has no config.json, so it is not a model folder. Choose the folder that holds config.json and the .safetensors files.`,
      );
    }
    const lm = parseCausalLm(await readJson(folder, 'config.json'), options.known);
    const base = new VoiceBase(device, lm, await Checkpoint.open(folder), options.precision);
    await base.loadComponent('model', options);
    return base;
  }

  /** Tokens that it reads. */
  get contextLength(): number {
    return positionsOf(this.lm.config);
  }

  graphOptions(adapter?: VoiceGraphOptions['adapter']): VoiceGraphOptions {
    return {
      lm: this.lm,
      dtypeOf: (name) => deviceDtype(this.checkpoint, this.precision, name),
      adapter,
      maxBinding: this.device.bindingLimit,
    };
  }

  protected override weightsGraph(): Graph {
    return logitsGraph(this.graphOptions(), 1);
  }

  protected override componentOf(): 'model' {
    return 'model';
  }

  /** Bytes of the weights on the device. */
  get bytes(): number {
    return this.bytesOf(['model']);
  }

  /** The modules that a configuration asks to adapt. Throws UserError where none, or an unsupported one, matches. */
  targets(lora: LoraConfig): LoraTarget[] {
    const targets = resolveTargets(lora, this.modules);
    const { head } = this.lm;
    if (targets.some(({ name }) => name === head)) {
      throw new UserError(`${quoteValue(head)} cannot be adapted here. Leave it out of target_modules.`);
    }
    return targets;
  }

  /** A layout for these modules, traced through a forward pass so that every tensor has its place. */
  layout(targets: readonly LoraTarget[], lora: LoraConfig, training: boolean): LoraLayout {
    const layout = new LoraLayout(targets, lora, training);
    logitsGraph(this.graphOptions(layout), 1);
    return layout;
  }

  info(hasChatTemplate: boolean): ModelInfo {
    const { checkpoint, modules } = this;
    const { modelType, hiddenSize, layers, vocabSize } = this.lm.config;
    const parameters = [...checkpoint.tensors.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
    // What the first layer is stored as speaks for all.
    const [first] = modules.filter(({ kind }) => kind === undefined);
    return {
      task: 'voice',
      modelType,
      parameters,
      hiddenSize,
      layers,
      vocabSize,
      contextLength: this.contextLength,
      precision: deviceDtype(checkpoint, this.precision, `${(first ?? modules[0]!).name}.weight`),
      hasChatTemplate,
      targetModules: targetModules(modules),
    };
  }
}
