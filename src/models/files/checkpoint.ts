import { UserError } from '../../common/errors.ts';
import { decodeFloats } from './dtypes.ts';
import { readJson } from './folder.ts';
import type { ModelFolder } from './folder.ts';
import { isJsonObject, quoteValue } from '../../common/json.ts';
import { parseSafetensors } from './safetensors.ts';
import type { TensorEntry } from './safetensors.ts';

/** Weights are never read in larger pieces, so that a big model does not pass through memory whole. */
export const CHUNK_BYTES = 4 * 1024 * 1024;

/** transformers' and diffusers' names for a folder's weights. */
const STEMS = ['model', 'diffusion_pytorch_model'];

/** The same weights in other precisions, which may lie beside them; the plain ones are taken first. */
const VARIANTS = ['', 'fp16', 'bf16', 'fp32'];

/** The weights of a model folder, in one safetensors file or in many with an index. */
export class Checkpoint {
  readonly folder: ModelFolder;
  readonly tensors: ReadonlyMap<string, TensorEntry>;

  private constructor(folder: ModelFolder, tensors: ReadonlyMap<string, TensorEntry>) {
    this.folder = folder;
    this.tensors = tensors;
  }

  /**
   * Reads and checks the headers of all weight files. subfolder: e.g. 'unet' in a diffusers folder. Throws UserError
   * where weights are missing, broken, or stored in another format.
   */
  static async open(folder: ModelFolder, subfolder = ''): Promise<Checkpoint> {
    const prefix = subfolder === '' ? '' : `${subfolder}/`;
    const names = folder.files
      .filter((path) => path.startsWith(prefix) && !path.slice(prefix.length).includes('/'))
      .map((path) => path.slice(prefix.length));
    for (const variant of VARIANTS) {
      for (const stem of STEMS) {
        const file = variant === '' ? `${stem}.safetensors` : `${stem}.${variant}.safetensors`;
        const index = `${stem}.safetensors.index${variant === '' ? '' : `.${variant}`}.json`;
        if (names.includes(file))
          return new Checkpoint(folder, (await parseSafetensors(folder, prefix + file)).tensors);
        if (names.includes(index)) return new Checkpoint(folder, await readSharded(folder, prefix, index, names));
      }
    }
    const candidates = names.filter((name) => name.endsWith('.safetensors'));
    if (candidates.includes('adapter_model.safetensors') && names.includes('adapter_config.json')) {
      throw new UserError(
        `“${folder.name}” holds an adapter, not a base model. Choose the folder of the base it was made for.`,
      );
    }
    if (candidates.length === 1) {
      return new Checkpoint(folder, (await parseSafetensors(folder, prefix + candidates[0]!)).tensors);
    }
    throw noWeights(folder.name, names, candidates);
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  #entry(name: string): TensorEntry {
    const entry = this.tensors.get(name);
    if (!entry) {
      throw new UserError(
        `“${this.folder.name}” has no tensor ${quoteValue(name)}, which its config.json asks for. Is a file missing?`,
      );
    }
    return entry;
  }

  /** The tensor's place. Throws UserError where it is missing or has another shape. */
  requireTensor(name: string, shape: readonly number[]): TensorEntry {
    const entry = this.#entry(name);
    if (entry.shape.length !== shape.length || entry.shape.some((dim, i) => dim !== shape[i])) {
      throw new UserError(
        `Tensor ${quoteValue(name)} in ${entry.file} of “${this.folder.name}” has the shape [${entry.shape.join(', ')}]; ` +
          `its config.json asks for [${shape.join(', ')}]. The two files do not belong together.`,
      );
    }
    return entry;
  }

  /** Bytes [start, end) of a tensor, counted from its own first byte. */
  async read(name: string, start = 0, end?: number): Promise<Uint8Array<ArrayBuffer>> {
    const entry = this.#entry(name);
    const length = entry.end - entry.begin;
    const stop = end ?? length;
    if (start < 0 || stop < start || stop > length) {
      throw new RangeError(`Bytes ${start} to ${stop} of tensor ${name} were asked for; it has ${length}`);
    }
    const bytes = await this.folder.read(entry.file, entry.begin + start, entry.begin + stop);
    if (bytes.byteLength !== stop - start) {
      throw new UserError(
        `${entry.file} in “${this.folder.name}” became shorter while it was read. Load the model again.`,
      );
    }
    return bytes;
  }

  /** The same in pieces of at most chunkBytes, in order. offset counts from the tensor's first byte. */
  async *chunks(
    name: string,
    start = 0,
    end?: number,
    chunkBytes = CHUNK_BYTES,
  ): AsyncGenerator<{ offset: number; bytes: Uint8Array<ArrayBuffer> }> {
    const entry = this.#entry(name);
    const stop = end ?? entry.end - entry.begin;
    for (let offset = start; offset < stop; offset += chunkBytes) {
      yield { offset, bytes: await this.read(name, offset, Math.min(offset + chunkBytes, stop)) };
    }
  }

  /** A floating-point tensor as float32, whole: for small ones such as norms. */
  async readFloats(name: string): Promise<Float32Array<ArrayBuffer>> {
    const entry = this.#entry(name);
    return decodeFloats(await this.read(name), entry.dtype, `Tensor ${quoteValue(name)} in ${entry.file}`);
  }
}

async function readSharded(
  folder: ModelFolder,
  prefix: string,
  indexName: string,
  names: readonly string[],
): Promise<Map<string, TensorEntry>> {
  const index = await readJson(folder, prefix + indexName);
  const weightMap = isJsonObject(index) ? index['weight_map'] : undefined;
  if (!isJsonObject(weightMap)) {
    throw new UserError(`${indexName} in “${folder.name}” has no weight_map. Download it again.`);
  }
  const shards = new Map<string, ReadonlyMap<string, TensorEntry>>();
  const tensors = new Map<string, TensorEntry>();
  for (const [name, file] of Object.entries(weightMap)) {
    // Only a file of this very folder: what stands in an index is not to be followed anywhere else.
    if (typeof file !== 'string' || !/^[^/\\]+\.safetensors$/.test(file)) {
      throw new UserError(
        `${indexName} in “${folder.name}” names ${quoteValue(file)} as a file of weights, which it cannot be.`,
      );
    }
    if (!names.includes(file)) {
      throw new UserError(
        `${quoteValue(file)} is missing in “${folder.name}”: its index says that tensor ${quoteValue(name)} lies there. Add the file.`,
      );
    }
    let shard = shards.get(file);
    if (!shard) {
      shard = (await parseSafetensors(folder, prefix + file)).tensors;
      shards.set(file, shard);
    }
    const entry = shard.get(name);
    if (!entry) {
      throw new UserError(
        `${file} in “${folder.name}” does not hold tensor ${quoteValue(name)}, although the index says so. Download both again.`,
      );
    }
    tensors.set(name, entry);
  }
  return tensors;
}

function noWeights(folder: string, names: readonly string[], candidates: readonly string[]): UserError {
  const ask = 'Choose a version of the model with model.safetensors.';
  if (candidates.length > 1) {
    const list = candidates.slice(0, 4).join(', ');
    return new UserError(
      `“${folder}” has several weight files (${list}) but no model.safetensors.index.json to say what lies where. Add the index.`,
    );
  }
  const has = (ending: RegExp): boolean => names.some((name) => ending.test(name));
  if (has(/\.gguf$/i))
    return new UserError(`“${folder}” holds only GGUF weights, which cannot be trained here. ${ask}`);
  if (has(/\.(bin|pt|pth|ckpt)$/i)) {
    return new UserError(
      `“${folder}” holds only PyTorch's pickled weights, which may run code and are not opened here. ${ask}`,
    );
  }
  return new UserError(`“${folder}” has no safetensors weights. ${ask}`);
}
