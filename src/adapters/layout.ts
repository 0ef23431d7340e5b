import { UserError } from '../engine/errors.ts';
import { FlatLayout } from '../engine/adapter-buffers.ts';
import { loraSegments } from '../engine/kernels/matmul.ts';
import type { AdapterHook, LoraGroup, Projection } from '../models/builder.ts';
import type { LoraConfig } from './config.ts';
import type { LoraTensors } from './peft.ts';
import { peftTensorName } from './peft.ts';
import type { LoraTarget } from './targets.ts';

/** One adapter tensor under PEFT's name. */
export interface FlatTensor {
  name: string;
  shape: readonly number[];
}

/** Where one module's tensors lie in the flat buffers; offsets in elements. */
interface Place {
  target: LoraTarget;
  a: number;
  b: number;
  magnitude: number | undefined;
}

/**
 * Places an adapter's tensors in the flat buffers as a model's forward pass asks for them. Projections computed together
 * have their A's one below the other and their B's one after the other, so that one kernel serves them all.
 */
export class LoraLayout implements AdapterHook {
  readonly flat = new FlatLayout();
  readonly grouped: boolean;
  readonly dropout: number;
  readonly #targets: ReadonlyMap<string, LoraTarget>;
  readonly #useDora: boolean;
  readonly #groups = new Map<string, LoraGroup | undefined>();
  readonly #places = new Map<string, Place>();

  /** @param training whether the configuration's dropout takes part */
  constructor(
    targets: readonly LoraTarget[],
    config: Pick<LoraConfig, 'use_dora' | 'lora_dropout'>,
    training: boolean,
  ) {
    this.#targets = new Map(targets.map((target) => [target.name, target]));
    this.#useDora = config.use_dora;
    this.dropout = training ? config.lora_dropout : 0;
    // PEFT draws a dropout mask for each module, and DoRA scales each module's whole output.
    this.grouped = !config.use_dora && config.lora_dropout === 0;
  }

  group(projections: readonly Projection[]): LoraGroup | undefined {
    const key = projections.map(({ name }) => name).join('+');
    if (!this.#groups.has(key)) this.#groups.set(key, this.#place(key, projections));
    return this.#groups.get(key);
  }

  #place(key: string, projections: readonly Projection[]): LoraGroup | undefined {
    const layers = projections.map(({ name, outFeatures }) => {
      const target = this.#targets.get(name);
      return { columns: outFeatures, rank: target?.r ?? 0, scale: target?.scale ?? 1 };
    });
    const rank = layers.reduce((sum, layer) => sum + layer.rank, 0);
    if (rank === 0) return undefined;
    const segments = loraSegments(layers);
    const inFeatures = projections[0]!.inFeatures;
    const a = `${key}.A`;
    const b = `${key}.B`;
    const magnitude = this.#useDora ? `${key}.magnitude` : undefined;
    this.flat.add(a, rank * inFeatures);
    this.flat.add(
      b,
      layers.reduce((sum, layer) => sum + layer.columns * layer.rank, 0),
    );
    if (magnitude !== undefined) this.flat.add(magnitude, layers[0]!.columns);
    const start = (name: string): number => this.flat.ranges.get(name)!.offset;
    projections.forEach(({ name }, i) => {
      const target = this.#targets.get(name);
      if (!target) return;
      this.#places.set(name, {
        target,
        a: start(a) + segments[i]!.hOffset * inFeatures,
        b: start(b) + segments[i]!.bOffset,
        magnitude: magnitude === undefined ? undefined : start(magnitude),
      });
    });
    return { segments, a, b, ...(magnitude !== undefined && { magnitude }) };
  }

  /** Trained numbers, gaps not counted. */
  get parameterCount(): number {
    return [...this.flat.ranges.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** The tensors of every module as one flat buffer. Call after a forward pass was traced. */
  pack(tensors: ReadonlyMap<string, LoraTensors>): Float32Array<ArrayBuffer> {
    const flat = new Float32Array(this.flat.length);
    for (const [name, place] of this.#places) {
      const module = tensors.get(name);
      if (!module) throw new UserError(`The adapter has no tensors for ${name}, which its configuration names.`);
      const { r, inFeatures, outFeatures } = place.target;
      if (module.A.length !== r * inFeatures || module.B.length !== outFeatures * r) {
        throw new UserError(
          `The adapter's tensors for ${name} are of rank ${module.r} for ${module.inFeatures} to ${module.outFeatures} features; ` +
            `this base needs rank ${r} for ${inFeatures} to ${outFeatures}. It was made for another base.`,
        );
      }
      flat.set(module.A, place.a);
      flat.set(module.B, place.b);
      if (place.magnitude !== undefined) {
        if (module.magnitude?.length !== outFeatures)
          throw new UserError(`The adapter lacks DoRA's magnitudes for ${name}.`);
        flat.set(module.magnitude, place.magnitude);
      }
    }
    return flat;
  }

  /** The reverse: each module's tensors out of a flat buffer (the adapter, its gradient, or a moment). */
  unpack(flat: Float32Array<ArrayBuffer>): Map<string, LoraTensors> {
    const tensors = new Map<string, LoraTensors>();
    for (const [name, { target, a, b, magnitude }] of this.#places) {
      const { r, inFeatures, outFeatures } = target;
      tensors.set(name, {
        A: flat.slice(a, a + r * inFeatures),
        B: flat.slice(b, b + outFeatures * r),
        ...(magnitude !== undefined && { magnitude: flat.slice(magnitude, magnitude + outFeatures) }),
        r,
        inFeatures,
        outFeatures,
      });
    }
    return tensors;
  }

  /** The trained tensors under PEFT's names in the order of the forward pass, without the gaps between them. */
  get tensors(): FlatTensor[] {
    return [...this.#places].flatMap(([name, { target, magnitude }]) => [
      { name: peftTensorName(name, 'A'), shape: [target.r, target.inFeatures] },
      { name: peftTensorName(name, 'B'), shape: [target.outFeatures, target.r] },
      ...(magnitude === undefined ? [] : [{ name: peftTensorName(name, 'magnitude'), shape: [target.outFeatures] }]),
    ]);
  }

  *#ranges(): Generator<[offset: number, length: number]> {
    for (const { target, a, b, magnitude } of this.#places.values()) {
      yield [a, target.r * target.inFeatures];
      yield [b, target.outFeatures * target.r];
      if (magnitude !== undefined) yield [magnitude, target.outFeatures];
    }
  }

  /** A flat buffer as the tensors of `tensors`, one after the other: what a checkpoint holds. */
  toTensorOrder(flat: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
    const values = new Float32Array(this.parameterCount);
    let at = 0;
    for (const [offset, length] of this.#ranges()) {
      values.set(flat.subarray(offset, offset + length), at);
      at += length;
    }
    return values;
  }

  /** The reverse of `toTensorOrder`. */
  fromTensorOrder(values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
    if (values.length !== this.parameterCount)
      throw new UserError('The checkpoint was made with other adapter settings.');
    const flat = new Float32Array(this.flat.length);
    let at = 0;
    for (const [offset, length] of this.#ranges()) {
      flat.set(values.subarray(at, at + length), offset);
      at += length;
    }
    return flat;
  }

  /** Modules that got a place, in the order of the forward pass. */
  get modules(): readonly string[] {
    return [...this.#places.keys()];
  }
}
