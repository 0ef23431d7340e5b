import { Graph } from '../../engine/graph.ts';
import type { LoraSegment } from '../../engine/kernels/lora_segments.ts';
import type { Conv2dAttributes } from '../../engine/ops/convolution.ts';
import type { GroupNormAttributes } from '../../engine/ops/normalisation.ts';
import { binary, constant, operand, strength } from '../../engine/ops/expression.ts';
import type { DType, Tensor } from '../../engine/tensor.ts';
import { BINDING_ALIGNMENT, elementBytes } from '../../engine/tensor.ts';
import { isWeightType, scaleBytes } from '../../engine/weight-formats.ts';

/** A projection of a model: a linear layer or convolution with its path in the transformers or diffusers class. */
export interface Projection {
  name: string;
  inFeatures: number;
  outFeatures: number;
  bias?: boolean;
  /** A convolution's [height, width]; inFeatures and outFeatures are its channels then. */
  kernel?: readonly [number, number];
  /** A table that rows are taken from: inFeatures are its rows. */
  embedding?: true;
}

/** The pictures that a convolution runs over, and how. */
export type ConvGeometry = Pick<Conv2dAttributes, 'images' | 'height' | 'width'> & {
  /** Default 1. */
  stride?: number;
  /** Zeros on all sides, or top, left, bottom and right. Default half the kernel, which keeps the size at stride 1. */
  padding?: number | readonly [number, number, number, number];
  /** Pixels from one tap to the next; not with an adapter. Default 1. */
  dilation?: number;
};

interface LinearOptions {
  residual?: Tensor | undefined;
  /** How rows become what the weight's rows multiply: unfolding, for a convolution. */
  spread?: (x: Tensor) => Tensor;
}

const kernelArea = ({ kernel }: Projection): number => (kernel ? kernel[0] * kernel[1] : 1);

/** What LoRA adds to one projection, or to several computed together. */
export interface LoraGroup {
  segments: readonly LoraSegment[];
  /** keys of the adapter's flat buffer: A [Σ r, in], B's one after the other, and DoRA's magnitude [out] */
  a: string;
  b: string;
  magnitude?: string;
}

/** How the adapters layer takes part in a forward pass. */
export interface AdapterHook {
  /** Whether projections may be computed together with one A; not with DoRA or dropout. */
  readonly grouped: boolean;
  /** Probability that an input element of A is dropped; 0 outside of training. */
  readonly dropout: number;
  /** What is added to these projections, or nothing. */
  group(projections: readonly Projection[]): LoraGroup | undefined;
}

export interface BuilderOptions {
  graph: Graph;
  /** Storage dtype on the device of a checkpoint tensor that is a matrix. */
  dtypeOf: (name: string) => DType;
  adapter?: AdapterHook | undefined;
}

/** Emits the layers that models share. */
export class ModelBuilder {
  readonly graph: Graph;
  readonly #options: BuilderOptions;
  #salt = 0;
  #blocks = 0;

  constructor(options: BuilderOptions) {
    this.graph = options.graph;
    this.#options = options;
  }

  /** Blocks so far: the units of recomputation. */
  get blocks(): number {
    return this.#blocks;
  }

  /** What `body` emits is the next block. */
  block<R>(body: () => R): R {
    return this.graph.inBlock(this.#blocks++, body);
  }

  /** A matrix in its stored precision; several projections lie one below the other. */
  matrix(
    names: readonly string[],
    rows: readonly number[],
    columns: number,
    kernel?: readonly [number, number],
  ): Tensor {
    return this.graph.weight(names.join('+'), {
      dtype: this.#options.dtypeOf(names[0]!),
      sources: names.map((name, i) => ({ name, shape: [rows[i]!, columns], ...(kernel && { kernel }) })),
    });
  }

  /** Vectors (norm weights, biases) are few: always f32. */
  vector(names: readonly string[], lengths: readonly number[]): Tensor {
    return this.graph.weight(names.join('+'), {
      dtype: 'f32',
      sources: names.map((name, i) => ({ name, shape: [lengths[i]!] })),
    });
  }

  norm(x: Tensor, name: string, size: number, eps: number): Tensor {
    return this.graph.emit('rmsNorm', { x, weight: this.vector([name], [size]) }, { eps, offset: 0 }).y;
  }

  /** Mean and variance of each row set to 0 and 1; weight and bias lie under `name`. */
  layerNorm(x: Tensor, name: string, size: number, eps: number): Tensor {
    return this.graph.emit('layerNorm', { x, ...this.#affine(name, size) }, { eps }).y;
  }

  /** The same for groups of channels over an image's pixels, x [images · pixels, size]. */
  groupNorm(x: Tensor, name: string, size: number, attributes: GroupNormAttributes): Tensor {
    return this.graph.emit('groupNorm', { x, ...this.#affine(name, size) }, attributes).y;
  }

  #affine(name: string, size: number): { weight: Tensor; bias: Tensor } {
    return { weight: this.vector([`${name}.weight`], [size]), bias: this.vector([`${name}.bias`], [size]) };
  }

  /**
   * A convolution over pictures, x [images · height · width, in]; imageBias [images, out] is added to all pixels of an image.
   * One of 1 by 1 is a linear layer. With LoRA the pictures are unfolded, so that base and adapter are one linear layer.
   */
  conv(
    x: Tensor,
    projection: Projection,
    { images, height, width, stride = 1, padding, dilation = 1 }: ConvGeometry,
    { imageBias, residual }: { imageBias?: Tensor | undefined; residual?: Tensor | undefined } = {},
  ): Tensor {
    const { graph } = this;
    const { name, inFeatures, outFeatures, bias, kernel } = projection;
    if (!kernel) throw new Error(`${name} is no convolution`);
    const half = padding ?? (kernel[0] - 1) >> 1;
    const around = typeof half === 'number' ? ([half, half, half, half] as const) : half;
    const attributes: Conv2dAttributes = {
      images,
      height,
      width,
      kernel,
      stride,
      padding: around,
      ...(dilation > 1 && { dilation }),
    };
    const isLinear = kernelArea(projection) === 1 && stride === 1 && around.every((zeros) => zeros === 0);
    if (!isLinear && !this.#options.adapter?.group([projection])) {
      const weight = this.matrix([`${name}.weight`], [outFeatures], inFeatures * kernelArea(projection), kernel);
      const inputs = { x, weight, ...(imageBias && { imageBias }), ...(residual && { residual }) };
      const withBias = bias && { bias: this.vector([`${name}.bias`], [outFeatures]) };
      return graph.emit('conv2d', { ...inputs, ...withBias }, attributes).y;
    }
    const spread = (picture: Tensor): Tensor => graph.emit('unfold', { x: picture }, attributes).y;
    const y = this.#linear(x, [projection], { residual, ...(!isLinear && { spread }) });
    return imageBias ? graph.add(y, imageBias) : y;
  }

  /** Rows of a table, with what LoRA adds to them: [ids, outFeatures]. */
  embedding(ids: Tensor, projection: Projection): Tensor {
    const { graph } = this;
    const { name, inFeatures, outFeatures } = projection;
    const table = this.matrix([`${name}.weight`], [inFeatures], outFeatures);
    const { y: x } = graph.emit('embedding', { ids, table }, { scale: 1 });
    const group = this.#options.adapter?.group([projection]);
    if (!group) return x;
    const { rank, scale } = group.segments[0]!;
    const a = graph.parameter(group.a, [rank, inFeatures]);
    const b = graph.parameter(group.b, [outFeatures * rank]);
    return graph.emit('embeddingLora', { x, ids, a, b }, { rank, scale }).y;
  }

  /** The outputs of several projections of x, side by side: [tokens, Σ out]. */
  projections(x: Tensor, projections: readonly Projection[], residual?: Tensor): Tensor {
    const { adapter } = this.#options;
    if (projections.length === 1 || ((adapter?.grouped ?? true) && this.#canStack(projections))) {
      return this.#linear(x, projections, { residual });
    }
    const [x0, x1, x2] = projections.map((projection) => this.#linear(x, [projection]));
    const { y } = this.graph.emit('concat', { x0: x0!, ...(x1 && { x1 }), ...(x2 && { x2 }) }, {});
    return residual ? this.graph.add(y, residual) : y;
  }

  /**
   * Whether weights may lie one below the other as one matrix. Each must begin where a binding may, so that an adapter that
   * keeps projections apart finds them in the same memory.
   */
  #canStack(projections: readonly Projection[]): boolean {
    const { dtypeOf, graph } = this.#options;
    const dtype = dtypeOf(`${projections[0]!.name}.weight`);
    const bias = Boolean(projections[0]!.bias);
    let bytes = 0;
    for (const projection of projections) {
      const { name, inFeatures, outFeatures } = projection;
      const size = elementBytes(dtype, inFeatures * outFeatures);
      if (dtypeOf(`${name}.weight`) !== dtype || Boolean(projection.bias) !== bias || size % BINDING_ALIGNMENT !== 0)
        return false;
      if (isWeightType(dtype) && scaleBytes(dtype, inFeatures * outFeatures) % BINDING_ALIGNMENT !== 0) return false;
      if (bias && (outFeatures * 4) % BINDING_ALIGNMENT !== 0) return false;
      bytes += size;
    }
    return bytes <= graph.maxBinding;
  }

  #linear(input: Tensor, projections: readonly Projection[], { residual, spread }: LinearOptions = {}): Tensor {
    const { graph } = this;
    const { adapter } = this.#options;
    const outs = projections.map(({ outFeatures }) => outFeatures);
    const columns = projections[0]!.inFeatures * kernelArea(projections[0]!);
    const weight = this.matrix(
      projections.map(({ name }) => `${name}.weight`),
      outs,
      columns,
      projections[0]!.kernel,
    );
    const x = spread ? spread(input) : input;
    const bias = projections[0]!.bias
      ? this.vector(
          projections.map(({ name }) => `${name}.bias`),
          outs,
        )
      : undefined;
    const group = adapter?.group(projections);
    if (!group || !adapter) {
      return graph.emit('linear', { x, weight, ...(bias && { bias }), ...(residual && { residual }) }, { segments: [] })
        .y;
    }
    const { segments } = group;
    const rank = segments.reduce((sum, segment) => sum + segment.rank, 0);
    const a = graph.parameter(group.a, [rank, columns]);
    const b = graph.parameter(group.b, [segments.reduce((sum, segment) => sum + segment.columns * segment.rank, 0)]);
    // As in PEFT, a convolution's pictures lose elements before they are unfolded.
    const dropped =
      adapter.dropout > 0
        ? graph.emit('dropout', { x: input }, { p: adapter.dropout, salt: ++this.#salt }).y
        : undefined;
    const loraInput = dropped && spread ? spread(dropped) : dropped;
    const low = { x, weight, a, b, ...(loraInput && { loraInput }) };
    if (group.magnitude === undefined) {
      return graph.emit('linear', { ...low, ...(bias && { bias }), ...(residual && { residual }) }, { segments }).y;
    }
    return this.#dora(low, group, segments[0]!, bias, residual);
  }

  /** y = (m / ‖W + sBA‖) ⊙ (x Wᵀ + s x Aᵀ Bᵀ) + bias (+ residual); at a strength t the factor is 1 + t (m / ‖…‖ - 1) */
  #dora(
    low: { x: Tensor; weight: Tensor; a: Tensor; b: Tensor; loraInput?: Tensor },
    group: LoraGroup,
    segment: LoraSegment,
    bias: Tensor | undefined,
    residual: Tensor | undefined,
  ): Tensor {
    const { graph } = this;
    const plain = graph.emit('linear', low, { segments: group.segments }).y;
    const m = graph.parameter(group.magnitude!, [segment.columns]);
    const { norm } = graph.emit(
      'doraNorm',
      { weight: low.weight, a: low.a, b: low.b },
      { rank: segment.rank, scale: segment.scale },
    );
    const change = binary('sub', binary('div', operand(1), operand(2)), constant(1));
    const factor = binary('add', constant(1), binary('mul', strength, change));
    const scaled = graph.map(binary('mul', operand(0), factor), [plain, m, norm]);
    const withBias = bias ? graph.add(scaled, bias) : scaled;
    return residual ? graph.add(withBias, residual) : withBias;
  }
}

/** Every projection that a forward pass offers to an adapter, in its order. */
export function adaptableProjections(trace: (b: ModelBuilder) => void): Projection[] {
  const found = new Map<string, Projection>();
  const adapter: AdapterHook = {
    grouped: true,
    dropout: 0,
    group(projections) {
      for (const projection of projections) found.set(projection.name, projection);
      return undefined;
    },
  };
  trace(new ModelBuilder({ graph: new Graph(), dtypeOf: () => 'f32', adapter }));
  return [...found.values()];
}
