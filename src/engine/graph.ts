import { UserError } from '../common/errors.ts';
import { OPERATIONS } from './ops/index.ts';
import type { Expression } from './ops/expression.ts';
import { binary, operand } from './ops/expression.ts';
import type { Attributes, GradientContext, Inputs, Node, NodeOf, OpDefinition, OpName, Outputs } from './ops/types.ts';
import type { DType, Role, Tensor, TensorSpec } from './tensor.ts';
import { byteSize, elementBytes, elementCount } from './tensor.ts';
import { isWeightType, isWhole, scalesKey, scalesShape } from './weight-formats.ts';

let nextId = 1;

export function makeTensor(role: Role, spec: TensorSpec, key?: string): Tensor {
  return {
    id: nextId++,
    label: spec.label ?? key ?? role,
    shape: [...spec.shape],
    dtype: spec.dtype ?? 'f32',
    role,
    ...(key === undefined ? {} : { key }),
  };
}

/** Where a weight's rows come from: tensors of the checkpoint, one below the other. */
export interface WeightSpec {
  dtype: DType;
  /**
   * All with the same number of columns, or all vectors. A convolution's matrix is [O, height · width · C] of its kernel; files
   * hold it as [O, C, height, width].
   */
  sources: readonly { name: string; shape: readonly number[]; kernel?: readonly [number, number] }[];
}

const isAligned = (dtype: DType, count: number): boolean => !isWeightType(dtype) || isWhole(dtype, count);

const tensorsOf = (record: object): Tensor[] =>
  (Object.values(record) as (Tensor | undefined)[]).filter((t) => t !== undefined);

/**
 * A program in the making: nodes in execution order. A model's forward pass calls `emit`; `backward` extends the list
 * towards what is trained.
 */
export class Graph {
  readonly nodes: Node[] = [];
  readonly weights = new Map<string, { tensor: Tensor; spec: WeightSpec }>();
  readonly inputs = new Map<string, Tensor>();
  readonly outputs = new Map<string, Tensor>();
  /** Gradient tensor of each parameter that a backward pass reaches. */
  readonly gradients = new Map<Tensor, Tensor>();
  /** Bytes of one storage binding. */
  readonly maxBinding: number;
  readonly #keyed = new Map<string, Tensor>();
  readonly #producers = new Map<Tensor, Node>();
  #block: number | undefined;

  /** @param maxBinding bytes of one storage binding; larger weights are split by rows */
  constructor(maxBinding = Infinity) {
    this.maxBinding = maxBinding;
  }

  #named(role: Role, key: string, spec: TensorSpec): Tensor {
    const name = `${role} ${key}`;
    const known = this.#keyed.get(name);
    if (known) {
      if (known.shape.join() !== spec.shape.join())
        throw new Error(`${name} was declared with shape ${known.shape.join('x')}`);
      return known;
    }
    const tensor = makeTensor(role, spec, key);
    this.#keyed.set(name, tensor);
    return tensor;
  }

  /** Data written before every run. */
  input(key: string, shape: readonly number[], dtype: DType = 'f32'): Tensor {
    const tensor = this.#named('input', key, { shape, dtype });
    this.inputs.set(key, tensor);
    return tensor;
  }

  /** A frozen weight; asked for again under the same key, the same tensor. */
  weight(key: string, spec: WeightSpec): Tensor {
    const known = this.weights.get(key);
    if (known) return known.tensor;
    const [first] = spec.sources;
    if (!first) throw new Error(`the weight ${key} has no sources`);
    const rows = spec.sources.reduce((sum, source) => sum + (source.shape[0] ?? 1), 0);
    const row = first.shape.slice(1);
    const { dtype } = spec;
    if (spec.sources.length > 1 && !spec.sources.every((source) => isAligned(dtype, elementCount(source.shape))))
      throw new Error(`${key}: the tensors of a stack are whole groups of ${dtype}`);
    let tensor = this.#named('weight', key, { shape: [rows, ...row], dtype });
    if (byteSize(tensor) > this.maxBinding) {
      // 64 rows keep every part aligned whatever the row's length.
      const columns = elementCount(row);
      const bytes = elementBytes(dtype, 64 * columns);
      const perPart = Math.floor(this.maxBinding / bytes) * 64;
      if (perPart === 0) {
        throw new UserError(
          `The graphics device binds at most ${this.maxBinding} bytes at once; 64 rows of ${key} take ${bytes}. Choose a smaller base.`,
        );
      }
      if (!isAligned(dtype, 64 * columns))
        throw new Error(`${key}: 64 rows of ${columns} are no whole groups of ${dtype}`);
      const parts: Tensor[] = [];
      for (let at = 0; at < rows; at += perPart) {
        const shape = [Math.min(perPart, rows - at), ...row];
        parts.push(this.#withScales(this.#named('weight', `${key}[${at}]`, { shape, dtype })));
      }
      tensor = { ...tensor, parts };
    } else tensor = this.#withScales(tensor);
    this.weights.set(key, { tensor, spec });
    return tensor;
  }

  /** A weight, or a part of one, with the scales that its format lays beside it. */
  #withScales(weight: Tensor): Tensor {
    const shape = isWeightType(weight.dtype) ? scalesShape(weight.dtype, elementCount(weight.shape)) : undefined;
    return shape ? { ...weight, scales: this.#named('weight', scalesKey(weight.key!), { shape }) } : weight;
  }

  /** A range of the adapter's flat buffers. */
  parameter(key: string, shape: readonly number[]): Tensor {
    return this.#named('parameter', key, { shape });
  }

  /** A tensor that keeps its content from run to run. */
  state(key: string, shape: readonly number[]): Tensor {
    return this.#named('state', key, { shape });
  }

  /** Where the one node that computes a parameter's gradient writes it. */
  gradientOf(parameter: Tensor): Tensor {
    if (parameter.role !== 'parameter') throw new Error(`${parameter.label} is not trained`);
    if (this.gradients.has(parameter))
      throw new Error(`${parameter.label} is used twice: the second gradient would overwrite the first`);
    const gradient = this.#named('gradient', parameter.key!, { shape: parameter.shape, label: `d ${parameter.label}` });
    this.gradients.set(parameter, gradient);
    return gradient;
  }

  /** Marks a tensor as read back after a run. */
  output(key: string, tensor: Tensor): void {
    if (tensor.role !== 'intermediate') throw new Error(`the output ${key} must be computed`);
    this.outputs.set(key, tensor);
  }

  /** Nodes emitted by `body` belong to one block, the unit of recomputation. */
  inBlock<R>(index: number, body: () => R): R {
    const outer = this.#block;
    this.#block = index;
    try {
      return body();
    } finally {
      this.#block = outer;
    }
  }

  /** Appends a node and returns its outputs; `given` names tensors that outputs are written into (gradients, states). */
  emit<K extends OpName>(
    op: K,
    inputs: Inputs<K>,
    attributes: Attributes<K>,
    given: Partial<Outputs<K>> = {},
  ): Outputs<K> {
    const definition: OpDefinition<K> = OPERATIONS[op];
    const specs = definition.outputs(inputs, attributes) as Record<string, TensorSpec | undefined>;
    const outputs: Record<string, Tensor> = {};
    for (const [name, spec] of Object.entries(specs)) {
      if (!spec) continue;
      const target = (given as Record<string, Tensor | undefined>)[name];
      if (target && elementCount(target.shape) < elementCount(spec.shape)) {
        throw new Error(`${op}: ${target.label} is smaller than the output ${name}`);
      }
      outputs[name] = target ?? makeTensor('intermediate', { ...spec, label: `${op}.${name}` });
    }
    const node: NodeOf<K> = { op, inputs, attributes, outputs: outputs as Outputs<K>, block: this.#block };
    // TypeScript does not relate NodeOf<K> for a generic K to the union of all nodes.
    this.nodes.push(node as unknown as Node);
    for (const tensor of Object.values(outputs)) this.#producers.set(tensor, node as unknown as Node);
    return node.outputs;
  }

  /** Elementwise expression over operands x0, x1, … */
  map(expression: Expression, operands: readonly [Tensor, ...Tensor[]]): Tensor {
    const inputs = Object.fromEntries(operands.map((tensor, i) => [`x${i}`, tensor])) as unknown as Inputs<'map'>;
    return this.emit('map', inputs, { expression }).y;
  }

  add(a: Tensor, b: Tensor): Tensor {
    return this.map(binary('add', operand(0), operand(1)), [a, b]);
  }

  multiply(a: Tensor, b: Tensor): Tensor {
    return this.map(binary('mul', operand(0), operand(1)), [a, b]);
  }

  /**
   * Appends the gradient of the sum of all losses (ops marked `isLoss`), towards every parameter and never towards weights.
   * @param recompute whether a block's activations are computed again instead of kept
   */
  backward(recompute: (block: number) => boolean = () => false): void {
    const forward = [...this.nodes];
    const trained = new Set<Tensor>();
    for (const node of forward) {
      if (tensorsOf(node.inputs).some((t) => t.role === 'parameter' || trained.has(t))) {
        for (const output of tensorsOf(node.outputs)) trained.add(output);
      }
    }
    const needs = (tensor: Tensor | undefined): boolean =>
      tensor !== undefined && (tensor.role === 'parameter' || trained.has(tensor));
    const sums = new Map<Tensor, Tensor>();
    const recomputed = new Map<number, Map<Tensor, Tensor>>();

    for (const node of forward.reverse()) {
      if (!tensorsOf(node.inputs).some(needs)) continue;
      const isLoss = (OPERATIONS[node.op] as OpDefinition<never>).isLoss ?? false;
      if (!isLoss && !tensorsOf(node.outputs).some((t) => sums.has(t))) continue;
      let replacement: Map<Tensor, Tensor> | undefined;
      if (node.block !== undefined && recompute(node.block)) {
        replacement = recomputed.get(node.block) ?? this.#computeAgain(node.block, forward);
        recomputed.set(node.block, replacement);
      }
      this.#differentiate(node, replacement, sums, needs);
    }
  }

  /** Emits the forward nodes of a block once more; nobody reads the superfluous ones, so they are dropped later. */
  #computeAgain(block: number, reversedForward: readonly Node[]): Map<Tensor, Tensor> {
    const replacement = new Map<Tensor, Tensor>();
    for (const node of [...reversedForward].reverse()) {
      if (node.block !== block) continue;
      const inputs = renamed(node.inputs, replacement);
      const again = this.emit(node.op, inputs as never, node.attributes as never);
      for (const [name, tensor] of Object.entries(node.outputs as Record<string, Tensor>)) {
        replacement.set(tensor, (again as Record<string, Tensor>)[name]!);
      }
    }
    return replacement;
  }

  #differentiate(
    node: Node,
    replacement: Map<Tensor, Tensor> | undefined,
    sums: Map<Tensor, Tensor>,
    needs: (tensor: Tensor | undefined) => boolean,
  ): void {
    const rule = (OPERATIONS[node.op] as OpDefinition<never>).gradient as
      'none' | ((context: GradientContext<OpName>) => void);
    if (rule === 'none') throw new Error(`${node.op} has no gradient, and something trained lies behind it`);
    const originals = node.inputs as Record<string, Tensor | undefined>;
    const results = node.outputs as Record<string, Tensor | undefined>;
    rule({
      graph: this,
      inputs: replacement ? renamed(node.inputs, replacement) : node.inputs,
      outputs: replacement ? renamed(node.outputs, replacement) : node.outputs,
      attributes: node.attributes,
      gradient: (name: string) => {
        const tensor = results[name];
        return tensor && sums.get(tensor);
      },
      needs: (name: string) => needs(originals[name]),
      accumulate: (name: string, make: (previous: Tensor | undefined) => Tensor) => {
        const tensor = originals[name];
        if (tensor && needs(tensor)) sums.set(tensor, make(sums.get(tensor)));
      },
    } as unknown as GradientContext<OpName>);
  }

  /** Drops nodes whose results nobody reads and that have no effect of their own. */
  dropUnused(): void {
    const used = new Set<Tensor>(this.outputs.values());
    const kept: Node[] = [];
    for (const node of [...this.nodes].reverse()) {
      const outputs = tensorsOf(node.outputs);
      const effect = OPERATIONS[node.op].hasEffect ?? outputs.some((t) => t.role !== 'intermediate');
      if (!effect && !outputs.some((t) => used.has(t))) continue;
      for (const tensor of tensorsOf(node.inputs)) used.add(tensor);
      kept.push(node);
    }
    this.nodes.splice(0, this.nodes.length, ...kept.reverse());
  }
}

function renamed<R extends object>(record: R, replacement: Map<Tensor, Tensor>): R {
  return Object.fromEntries(
    Object.entries(record as Record<string, Tensor | undefined>).map(([name, t]) => [
      name,
      t && (replacement.get(t) ?? t),
    ]),
  ) as R;
}
