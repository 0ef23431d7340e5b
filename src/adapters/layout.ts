import { UserError } from '../common/errors.ts';
import { FlatLayout } from '../engine/adapter-buffers.ts';
import { loraSegments } from '../engine/kernels/lora_segments.ts';
import type { AdapterHook, LoraGroup, Projection } from '../models/layers/builder.ts';
import type { LoraConfig } from './lora-config.ts';
import type { LoraPart, LoraTensors } from './peft.ts';
import { loraShapes, peftTensorName } from './peft.ts';
import { kernelArea } from './targets.ts';
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

const lengthOfA = (target: LoraTarget): number => target.r * target.inFeatures * kernelArea(target);

/**
 * A convolution's A between the order of files, [r, in, pixels of the kernel], and the device's, [r, pixels, in], where it is
 * a matrix over unfolded pixels.
 */
function permuteA(a: Float32Array<ArrayBuffer>, target: LoraTarget, to: 'device' | 'file'): Float32Array<ArrayBuffer> {
  const pixels = kernelArea(target);
  if (pixels === 1) return a;
  const { r, inFeatures } = target;
  const [rows, columns] = to === 'device' ? [inFeatures, pixels] : [pixels, inFeatures];
  const out = new Float32Array(a.length);
  for (let rank = 0; rank < r; rank++) {
    const start = rank * rows * columns;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        out[start + column * rows + row] = a[start + row * columns + column]!;
      }
    }
  }
  return out;
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
    // Layers that share their A are linear; a convolution stands alone.
    const columns = projections[0]!.inFeatures * kernelArea(this.#targets.get(projections[0]!.name) ?? {});
    const a = `${key}.A`;
    const b = `${key}.B`;
    const magnitude = this.#useDora ? `${key}.magnitude` : undefined;
    this.flat.add(a, rank * columns);
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
        a: start(a) + segments[i]!.hOffset * columns,
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
      if (module.A.length !== lengthOfA(place.target) || module.B.length !== outFeatures * r) {
        throw new UserError(
          `The adapter's tensors for ${name} are of rank ${module.r} for ${module.inFeatures} to ${module.outFeatures} features; ` +
            `this base needs rank ${r} for ${inFeatures} to ${outFeatures}. It was made for another base.`,
        );
      }
      flat.set(permuteA(module.A, place.target, 'device'), place.a);
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
      const { r, inFeatures, outFeatures, kernel, embedding } = target;
      tensors.set(name, {
        A: permuteA(flat.slice(a, a + lengthOfA(target)), target, 'file'),
        B: flat.slice(b, b + outFeatures * r),
        ...(magnitude !== undefined && { magnitude: flat.slice(magnitude, magnitude + outFeatures) }),
        r,
        inFeatures,
        outFeatures,
        ...(kernel && { kernel }),
        ...(embedding && { embedding }),
      });
    }
    return tensors;
  }

  /** The trained tensors under PEFT's names in the order of the forward pass, without the gaps between them. */
  get tensors(): FlatTensor[] {
    return [...this.#places].flatMap(([name, { target, magnitude }]) => {
      const shapes = loraShapes(target);
      const parts: LoraPart[] = magnitude === undefined ? ['A', 'B'] : ['A', 'B', 'magnitude'];
      return parts.map((part) => ({ name: peftTensorName(name, part, target.embedding), shape: shapes[part] }));
    });
  }

  *#ranges(): Generator<{ target: LoraTarget; offset: number; length: number; isA: boolean }> {
    for (const { target, a, b, magnitude } of this.#places.values()) {
      yield { target, offset: a, length: lengthOfA(target), isA: true };
      yield { target, offset: b, length: target.outFeatures * target.r, isA: false };
      if (magnitude !== undefined) yield { target, offset: magnitude, length: target.outFeatures, isA: false };
    }
  }

  /** A flat buffer as the tensors of `tensors`, one after the other: what a checkpoint holds. */
  toTensorOrder(flat: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
    const values = new Float32Array(this.parameterCount);
    let at = 0;
    for (const { target, offset, length, isA } of this.#ranges()) {
      const range = flat.subarray(offset, offset + length);
      values.set(isA ? permuteA(range, target, 'file') : range, at);
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
    for (const { target, offset, length, isA } of this.#ranges()) {
      const range = values.subarray(at, at + length);
      flat.set(isA ? permuteA(range, target, 'device') : range, offset);
      at += length;
    }
    return flat;
  }

  /** Modules that got a place, in the order of the forward pass. */
  get modules(): readonly string[] {
    return [...this.#places.keys()];
  }
}
