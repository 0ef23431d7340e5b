import type { LoraConfig } from '../../adapters/lora-config.ts';
import type { AdaptableModule, LoraTarget } from '../../adapters/targets.ts';
import { resolveTargets } from '../../adapters/targets.ts';
import { LoraLayout } from '../../adapters/layout.ts';
import type { Device } from '../../engine/device.ts';
import { UserError } from '../../common/errors.ts';
import type { BufferSlice } from '../../engine/kernels/kernel.ts';
import { ProgramPlan } from '../../engine/program.ts';
import { WeightStore } from '../../engine/weights.ts';
import type { DecoderConfig } from '../../models/causal-lm/decoder-config.ts';
import { MAX_POSITIONS, blockProjections } from '../../models/causal-lm/decoder.ts';
import { Checkpoint } from '../../models/files/checkpoint.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import { readJson } from '../../models/files/folder.ts';
import { parseDecoderConfig } from '../../models/causal-lm/registry.ts';
import type { Precision } from '../../models/files/precision.ts';
import { CheckpointSource } from '../../models/causal-lm/weights.ts';
import { deviceDtype } from '../../models/files/precision.ts';
import type { VoiceGraphOptions } from './graphs.ts';
import { logitsGraph } from './graphs.ts';
import type { ModelInfo } from './types.ts';

/** A language model's description and weights on the device. */
export class VoiceBase {
  readonly device: Device;
  readonly config: DecoderConfig;
  readonly precision: Precision;
  readonly weights: WeightStore;
  readonly checkpoint: Checkpoint;

  private constructor(
    device: Device,
    config: DecoderConfig,
    checkpoint: Checkpoint,
    precision: Precision,
    weights: WeightStore,
  ) {
    this.device = device;
    this.config = config;
    this.checkpoint = checkpoint;
    this.precision = precision;
    this.weights = weights;
  }

  static async load(
    device: Device,
    folder: ModelFolder,
    options: {
      precision: Precision;
      onProgress?: ((fraction: number) => void) | undefined;
      signal?: AbortSignal | undefined;
    },
  ): Promise<VoiceBase> {
    if (!folder.files.includes('config.json')) {
      throw new UserError(
        `“${folder.name}” has no config.json, so it is not a model folder. Choose the folder that holds config.json and the .safetensors files.`,
      );
    }
    const config = parseDecoderConfig(await readJson(folder, 'config.json'));
    const checkpoint = await Checkpoint.open(folder);
    const { precision, onProgress, signal } = options;
    const dtypeOf = (name: string) => deviceDtype(checkpoint, precision, name);
    // Tracing a forward pass declares every weight with its shape; each is then checked against the file.
    const graph = logitsGraph({ config, dtypeOf, maxBinding: device.bindingLimit }, 1);
    for (const { spec } of graph.weights.values()) {
      for (const { name, shape } of spec.sources) if (!name.startsWith('rope.')) checkpoint.requireTensor(name, shape);
    }
    const source = new CheckpointSource(checkpoint, config);
    const weights = await WeightStore.load(device, graph, source, (done, total) => onProgress?.(done / total), signal);
    return new VoiceBase(device, config, checkpoint, precision, weights);
  }

  get contextLength(): number {
    return Math.min(this.config.contextLength, MAX_POSITIONS);
  }

  graphOptions(adapter?: VoiceGraphOptions['adapter']): VoiceGraphOptions {
    return {
      config: this.config,
      dtypeOf: (name) => deviceDtype(this.checkpoint, this.precision, name),
      adapter,
      maxBinding: this.device.bindingLimit,
    };
  }

  /** The modules that LoRA may be asked to adapt, under transformers' names. */
  get modules(): AdaptableModule[] {
    const { layers, vocabSize, hiddenSize } = this.config;
    const linear = Array.from({ length: layers }, (_, layer) =>
      Object.values(blockProjections(this.config, layer)),
    ).flat();
    return [
      { name: 'model.embed_tokens', inFeatures: vocabSize, outFeatures: hiddenSize, kind: 'embedding' },
      ...linear.map(({ name, inFeatures, outFeatures }) => ({ name, inFeatures, outFeatures })),
      { name: 'lm_head', inFeatures: hiddenSize, outFeatures: vocabSize, kind: 'output' },
    ];
  }

  /** The modules that a configuration asks to adapt. Throws UserError where none, or an unsupported one, matches. */
  targets(lora: LoraConfig): LoraTarget[] {
    const targets = resolveTargets(lora, this.modules);
    if (targets.some(({ name }) => name === 'lm_head')) {
      throw new UserError('lm_head cannot be adapted here. Leave it out of target_modules.');
    }
    return targets;
  }

  /** A layout for these modules, traced through a forward pass so that every tensor has its place. */
  layout(targets: readonly LoraTarget[], lora: LoraConfig, training: boolean): LoraLayout {
    const layout = new LoraLayout(targets, lora, training);
    logitsGraph(this.graphOptions(layout), 1);
    return layout;
  }

  slice(key: string): BufferSlice {
    return this.weights.slice(key);
  }

  planOf(graph: Parameters<typeof ProgramPlan.of>[0]): ProgramPlan {
    return ProgramPlan.of(graph, this.device.target, this.device.bindingLimit);
  }

  info(hasChatTemplate: boolean): ModelInfo {
    const { config, checkpoint } = this;
    let parameters = 0;
    for (const { shape } of checkpoint.tensors.values())
      parameters += shape.reduce((product, size) => product * size, 1);
    return {
      task: 'voice',
      modelType: config.modelType,
      parameters,
      hiddenSize: config.hiddenSize,
      layers: config.layers,
      vocabSize: config.vocabSize,
      contextLength: this.contextLength,
      precision: deviceDtype(checkpoint, this.precision, 'model.layers.0.self_attn.q_proj.weight'),
      hasChatTemplate,
      targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
    };
  }

  destroy(): void {
    this.weights.destroy();
  }
}
