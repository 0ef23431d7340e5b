import { UserError } from '../../common/errors.ts';
import type { Graph, WeightSpec } from '../../engine/graph.ts';
import type { DType } from '../../engine/tensor.ts';
import type { WeightPiece } from '../../engine/weight-formats.ts';
import type { WeightSource } from '../../engine/weights.ts';
import { countParameters } from '../stable-diffusion/components.ts';
import { HALF_NORMS } from '../encodec/encodec-config.ts';
import { Checkpoint } from '../files/checkpoint.ts';
import type { ModelFolder } from '../files/folder.ts';
import { readJson } from '../files/folder.ts';
import type { MusicgenConfig } from './musicgen-config.ts';
import { parseMusicgenConfig } from './musicgen-config.ts';
import { POSITIONS, positionTable } from './decoder.ts';
import { MusicgenTokenizer } from '../t5/tokenizer.ts';
import { foldWeightNorm, normedWeight, requireShape } from '../encodec/weight-norm.ts';
import { requireStored, streamStored } from '../files/stored-tensor.ts';
import { DISTANCES, distanceBias } from '../t5/encoder.ts';
import type { Precision } from '../files/precision.ts';
import { deviceDtype } from '../files/precision.ts';
import { encoded } from '../files/precision.ts';

/** Folded weights are handed over in pieces of so many numbers. */
const PIECE = 1024 * 1024;

/** What older files call a tensor. */
const ALIASES: Readonly<Record<string, string>> = {
  'text_encoder.shared.weight': 'text_encoder.encoder.embed_tokens.weight',
};

/** Tensors of a file that are no parameters: the training statistics of codebooks, a table of positions. */
const BUFFERS = /\.(cluster_size|embed_avg|inited|embed_positions\.weights)$/;

type Source = WeightSpec['sources'][number];

/**
 * A folder of transformers' MusicgenForConditionalGeneration. Tensors are asked for by its names. Convolutions come with
 * their weight normalisation applied and their taps before their channels; tables that follow from others (positions,
 * T5's distances, the lengths of codebook entries) are computed here, in float64.
 */
export class MusicgenCheckpoint implements WeightSource {
  readonly name: string;
  readonly config: MusicgenConfig;
  readonly #folder: ModelFolder;
  readonly #checkpoint: Checkpoint;

  private constructor(folder: ModelFolder, checkpoint: Checkpoint, config: MusicgenConfig) {
    this.name = folder.name;
    this.config = config;
    this.#folder = folder;
    this.#checkpoint = checkpoint;
  }

  /** Reads headers and configurations only. Throws UserError, naming file and field, for what is missing or not supported. */
  static async open(folder: ModelFolder): Promise<MusicgenCheckpoint> {
    const has = (path: string): boolean => folder.files.includes(path);
    if (!has('config.json'))
      throw new UserError(`“${folder.name}” has no config.json. Choose the folder of a MusicGen model.`);
    const generation = has('generation_config.json') ? await readJson(folder, 'generation_config.json') : undefined;
    const config = parseMusicgenConfig(await readJson(folder, 'config.json'), generation);
    return new MusicgenCheckpoint(folder, await Checkpoint.open(folder), config);
  }

  /** Throws UserError where its files are missing or broken. */
  tokenizer(): Promise<MusicgenTokenizer> {
    return MusicgenTokenizer.load(this.#folder);
  }

  /** The name that the file has for a tensor. */
  #stored(name: string): string {
    const alias = ALIASES[name];
    return alias !== undefined && !this.#checkpoint.has(name) && this.#checkpoint.has(alias) ? alias : name;
  }

  /** Storage dtype on the device of a matrix. What is not in the file as it is used (f64, normalised weights) is f32. */
  dtypeOf(name: string, precision: Precision): DType {
    if (precision !== 'stored') return precision;
    if (normedWeight(this.#checkpoint, layerOf(name))) return 'f32';
    return deviceDtype(this.#checkpoint, precision, this.#stored(name));
  }

  /** Throws UserError where a weight that the graph declares is missing or of another shape. */
  requireWeights(graph: Graph): void {
    for (const { spec } of graph.weights.values()) for (const source of spec.sources) this.#require(source);
  }

  #require(source: Source): void {
    const { name, shape, kernel } = source;
    const checkpoint = this.#checkpoint;
    const [rows, columns] = shape as [number, number];
    if (name === POSITIONS) return;
    if (name.endsWith(DISTANCES)) {
      const { buckets, heads } = this.config.text;
      requireShape(checkpoint, bare(name), [buckets, heads]);
    } else if (name.endsWith(HALF_NORMS)) {
      requireShape(checkpoint, bare(name), [rows, this.config.audio.hiddenSize]);
    } else if (kernel) {
      const taps = kernel[0] * kernel[1];
      const normed = normedWeight(checkpoint, layerOf(name));
      requireShape(checkpoint, normed?.v ?? name, [rows, columns / taps, taps]);
      if (normed) requireShape(checkpoint, normed.g, [rows, 1, 1]);
    } else {
      requireStored({ checkpoint, name: this.#stored(name) }, source);
    }
  }

  async *stream(
    name: string,
    shape: readonly number[],
    dtype: WeightSpec['dtype'],
    kernel?: readonly [number, number],
  ): AsyncGenerator<WeightPiece> {
    const source: Source = { name, shape, ...(kernel && { kernel }) };
    this.#require(source);
    const computed = await this.#computed(source);
    if (!computed) {
      yield* streamStored({ checkpoint: this.#checkpoint, name: this.#stored(name) }, source, dtype);
      return;
    }
    for (let at = 0; at < computed.length; at += PIECE) yield encoded(computed.slice(at, at + PIECE), dtype);
  }

  /** What is not in the file as it is used; undefined for what is. */
  async #computed({ name, shape, kernel }: Source): Promise<Float32Array<ArrayBuffer> | undefined> {
    const [rows, columns] = shape as [number, number];
    const checkpoint = this.#checkpoint;
    if (name === POSITIONS) return positionTable(rows, columns);
    if (name.endsWith(DISTANCES)) return distanceBias(this.config.text, await checkpoint.readFloats(bare(name)));
    if (name.endsWith(HALF_NORMS)) return halfNorms(await checkpoint.readFloats(bare(name)), rows);
    if (!kernel) return undefined;
    const taps = kernel[0] * kernel[1];
    const normed = normedWeight(checkpoint, layerOf(name));
    return foldWeightNorm(
      normed && (await checkpoint.readFloats(normed.g)),
      await checkpoint.readFloats(normed?.v ?? name),
      { rows, channels: columns / taps, taps },
    );
  }

  /** Numbers in the model's parameters. */
  parameters(): number {
    return countParameters([...this.#checkpoint.tensors.values()].filter(({ name }) => !BUFFERS.test(name)));
  }

  get checkpoints(): readonly Checkpoint[] {
    return [this.#checkpoint];
  }
}

const layerOf = (name: string): string => name.replace(/\.weight$/, '');

/** The stored tensor that a computed one is made of. */
const bare = (name: string): string => name.slice(0, name.indexOf('#'));

/** -‖e‖² / 2 of each row of a codebook. */
function halfNorms(table: ArrayLike<number>, rows: number): Float32Array<ArrayBuffer> {
  const columns = table.length / rows;
  return Float32Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let i = 0; i < columns; i++) sum += table[row * columns + i]! ** 2;
    return -sum / 2;
  });
}
