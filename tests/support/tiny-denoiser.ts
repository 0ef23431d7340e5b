import type { LoraConfig } from '../../src/adapters/lora-config.ts';
import { LoraLayout } from '../../src/adapters/layout.ts';
import type { LoraTarget } from '../../src/adapters/targets.ts';
import { concatFloats } from '../../src/common/floats.ts';
import { RandomStream } from '../../src/common/random.ts';
import type { Device } from '../../src/engine/device.ts';
import type { Graph } from '../../src/engine/graph.ts';
import { binary, operand, silu } from '../../src/engine/ops/expression.ts';
import type { InputData } from '../../src/engine/program.ts';
import type { Tensor } from '../../src/engine/tensor.ts';
import { elementCount } from '../../src/engine/tensor.ts';
import type { Conditioner, PromptTokens } from '../../src/models/diffusion/conditioner.ts';
import type { Denoiser, DenoiserShape, DenoiserValues, ForwardOptions } from '../../src/models/diffusion/denoiser.ts';
import type { AdapterHook, ModelBuilder, Projection } from '../../src/models/layers/builder.ts';
import { adaptableProjections } from '../../src/models/layers/builder.ts';
import { fromRows, toRows } from '../../src/models/layers/feature-rows.ts';
import type { AdaptableBase } from '../../src/tasks/adapter-slot.ts';
import type { ComponentSource } from '../../src/tasks/component-base.ts';
import { ComponentBase } from '../../src/tasks/component-base.ts';
import type { ConditionerGraphOptions, DenoiserGraphOptions } from '../../src/tasks/denoising/graphs.ts';
import { conditionsGraph, lossGraph, predictionGraph } from '../../src/tasks/denoising/graphs.ts';
import type { DenoisingBase } from '../../src/tasks/denoising/plan.ts';
import { isBeside } from '../../src/tasks/denoising/plan.ts';

/** Sizes: channels of a frame, hidden features, the style's numbers, features of σ, words, features of a word. */
export const CHANNELS = 3;
export const HIDDEN = 8;
export const STYLE = 5;
export const TIME = 4;
export const WORDS = 7;
export const WORD = 6;

const linear = (name: string, inFeatures: number, outFeatures: number): Projection => ({
  name,
  inFeatures,
  outFeatures,
  bias: true,
});

export const PROJECTIONS = {
  in: linear('transformer.proj_in', CHANNELS, HIDDEN),
  condition: linear('transformer.condition', TIME + STYLE, HIDDEN),
  mix: { ...linear('transformer.mix', HIDDEN, HIDDEN), kernel: [1, 3] as const },
  out: linear('transformer.proj_out', HIDDEN, CHANNELS),
  speak: linear('speaker.proj', WORD, STYLE),
};
export const TABLE = 'speaker.words.weight';

export const timeFeatures = (sigma: number): number[] =>
  [1, 2].flatMap((k) => [Math.cos(2 * Math.PI * k * sigma), Math.sin(2 * Math.PI * k * sigma)]);

/** A denoiser that is no UNet and hears no CLIP: samples [channels, frames], told a style of a few numbers, and σ. */
export class TinyDenoiser implements Denoiser {
  readonly component = 'transformer';
  readonly probe = 'transformer.proj_in.weight';
  readonly channels = CHANNELS;
  readonly sizeMultiple = 1;
  readonly conditions = { style: { width: STYLE, isSequence: false } };
  readonly smallest = { sample: [CHANNELS, 2], lengths: {} };
  readonly usualTargets = ['proj_in', 'proj_out'];
  readonly targetModules = ['proj_in', 'condition', 'mix', 'proj_out'];

  get modules(): Projection[] {
    return adaptableProjections((b) => {
      this.forward(b, { rows: 1, ...this.smallest }, { training: false });
    });
  }

  positions([, frames]: readonly number[]): number {
    return frames!;
  }

  toRows(values: ArrayLike<number>, sample: readonly number[], channels = CHANNELS): Float32Array<ArrayBuffer> {
    return toRows(values, channels, this.positions(sample));
  }

  fromRows(rows: ArrayLike<number>, sample: readonly number[]): Float32Array<ArrayBuffer> {
    return fromRows(rows, CHANNELS, this.positions(sample));
  }

  forward(b: ModelBuilder, { rows, sample }: DenoiserShape, { given }: ForwardOptions): Tensor {
    const { graph } = b;
    const frames = this.positions(sample);
    const x = graph.input('sample', [rows * frames, CHANNELS]);
    const time = graph.input('time', [rows, TIME]);
    const style = given?.['style'] ?? graph.input('style', [rows, STYLE]);
    const told = b.projections(graph.emit('concat', { x0: time, x1: style }, {}).y, [PROJECTIONS.condition]);
    return b.block(() => {
      const hidden = b.projections(x, [PROJECTIONS.in]);
      const heard = graph.map(silu(binary('add', operand(0), operand(1))), [hidden, told]);
      const geometry = { images: rows, height: 1, width: frames, padding: [0, 1, 0, 1] as const };
      const mixed = graph.map(silu(operand(0)), [b.conv(heard, PROJECTIONS.mix, geometry)]);
      return b.projections(mixed, [PROJECTIONS.out]);
    });
  }

  inputs({ sample: shape }: DenoiserShape, { sample, timesteps, conditions }: DenoiserValues) {
    const inputs: Record<string, InputData> = {
      sample: this.toRows(sample, shape),
      time: Float32Array.from(timesteps.flatMap(timeFeatures)),
    };
    if (conditions[0]?.['style']) inputs['style'] = concatFloats(conditions.map(({ style }) => style!));
    return inputs;
  }
}

/** A conditioner that is no CLIP: one word, whose row of a table is projected to a style. */
export class TinyConditioner implements Conditioner {
  readonly components = ['speaker'];
  readonly tokenInputs = ['input_ids'];
  readonly conditions = ['style'];
  readonly outputNames = {};
  readonly lengths = {};
  readonly promptTokens = 1;
  readonly zerosForEmptyPrompt = false;
  readonly usualTargets = ['proj'];
  readonly modules = [PROJECTIONS.speak];

  tokenize(prompt: string): Promise<PromptTokens> {
    return Promise.resolve([Uint32Array.of(prompt.length % WORDS)]);
  }

  countTokens(): Promise<number> {
    return Promise.resolve(1);
  }

  lengthsOf(): Record<string, number> {
    return {};
  }

  forward(b: ModelBuilder, { rows }: { rows: number }): Record<string, Tensor> {
    const table = b.matrix([TABLE], [WORDS], WORD);
    const ids = b.graph.input('ids', [rows], 'u32');
    const { y } = b.graph.emit('embedding', { ids, table }, { scale: 1 });
    return { style: b.projections(y, [PROJECTIONS.speak]) };
  }

  inputs(texts: readonly PromptTokens[]): Record<string, InputData> {
    return { ids: Uint32Array.from(texts, ([ids]) => ids![0]!) };
  }
}

/** Normal numbers by a weight's name alone, of a size that keeps activations near 1. */
export function weightValues(name: string, shape: readonly number[]): Float32Array<ArrayBuffer> {
  const random = new RandomStream(11, name);
  const size = name.endsWith('.bias') ? 0.3 : 1 / Math.sqrt(shape[1]!);
  return Float32Array.from({ length: elementCount(shape) }, () => size * random.normal());
}

const WEIGHTS: ComponentSource = {
  requireWeights: () => undefined,
  async *stream(name, shape) {
    await Promise.resolve();
    yield new Uint8Array(weightValues(name, shape).buffer);
  },
};

/** The base of both, with what an adapter needs. */
export class TinyBase extends ComponentBase<'denoiser' | 'text_encoder'> implements DenoisingBase, AdaptableBase {
  readonly denoiser = new TinyDenoiser();
  readonly conditioner = new TinyConditioner();

  constructor(device: Device) {
    super(device, WEIGHTS, ['denoiser', 'text_encoder']);
  }

  get modules(): Projection[] {
    return [...this.conditioner.modules, ...this.denoiser.modules];
  }

  graphOptions(adapter?: AdapterHook): DenoiserGraphOptions & ConditionerGraphOptions {
    const { denoiser, conditioner, device } = this;
    return { denoiser, conditioner, adapter, dtypeOf: () => 'f32', maxBinding: device.bindingLimit };
  }

  layout(targets: readonly LoraTarget[], lora: LoraConfig, training: boolean): LoraLayout {
    const layout = new LoraLayout(targets, lora, training);
    const isAlong = targets.some(({ name }) => isBeside(this.denoiser, name));
    const shape = { rows: 1, ...this.denoiser.smallest };
    lossGraph(this.graphOptions(layout), shape, { conditioner: isAlong ? this.conditioner : undefined });
    return layout;
  }

  protected override weightsGraph(component: 'denoiser' | 'text_encoder'): Graph {
    const shape = { rows: 1, ...this.denoiser.smallest };
    return component === 'denoiser'
      ? predictionGraph(this.graphOptions(), shape)
      : conditionsGraph(this.graphOptions(), shape);
  }

  protected override componentOf(key: string): 'denoiser' | 'text_encoder' {
    return isBeside(this.denoiser, key) ? 'text_encoder' : 'denoiser';
  }
}
