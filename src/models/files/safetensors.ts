import { UserError } from '../../common/errors.ts';
import { f32ToBf16, f32ToF16 } from '../../common/half-floats.ts';
import { DTYPE_BYTES, isSafetensorsDtype } from './dtypes.ts';
import type { SafetensorsDtype } from './dtypes.ts';
import type { ModelFolder } from './folder.ts';
import { parseUniqueJson, quoteValue } from '../../common/json.ts';

/** The safetensors library refuses longer headers too. */
const LONGEST_HEADER = 100_000_000;
const ALIGNMENT = 8;

/** Where one tensor lies. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Path of the file inside its folder. */
  readonly file: string;
  /** Bytes [begin, end) from the start of the file. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/**
 * Reads and checks the header of a safetensors file: known dtypes, shapes and sizes that agree, and tensors that tile
 * the rest of the file without hole or overlap. Throws UserError naming the file and the tensor.
 * Format: https://github.com/huggingface/safetensors#format
 */
export async function parseSafetensors(folder: ModelFolder, path: string): Promise<SafetensorsHeader> {
  const size = await folder.size(path);
  const broken = (why: string): UserError =>
    new UserError(`${path} in “${folder.name}” is not a sound safetensors file: ${why}. Download or copy it again.`);
  if (size < 8) throw broken(`it has only ${size} bytes`);
  const prefix = await folder.read(path, 0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(LONGEST_HEADER)) throw broken(`its header claims ${length} bytes, more than the allowed 100 MB`);
  const dataStart = 8 + Number(length);
  if (dataStart > size) throw broken(`its header claims ${length} bytes, but the file ends after ${size}`);

  let header: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await folder.read(path, 8, dataStart));
    header = parseUniqueJson(text);
  } catch (error) {
    if (error instanceof UserError) throw broken(error.message);
    throw broken('its header is not valid JSON in UTF-8');
  }
  if (!isRecord(header)) throw broken('its header is not a JSON object');

  const entries: TensorEntry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = parseMetadata(value, broken);
    else entries.push(parseEntry(name, value, { path, dataStart, size, broken }));
  }
  checkTiling(entries, dataStart, size, broken);
  return { tensors: new Map(entries.map((entry) => [entry.name, entry])), metadata };
}

type Broken = (why: string) => UserError;

function parseMetadata(value: unknown, broken: Broken): Record<string, string> {
  if (value === null) return {};
  if (!isRecord(value)) throw broken('its metadata is not a JSON object');
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw broken(`its metadata field ${quoteValue(key)} is not a string`);
  }
  return value as Record<string, string>;
}

interface FileBounds {
  path: string;
  dataStart: number;
  size: number;
  broken: Broken;
}

function parseEntry(name: string, value: unknown, { path, dataStart, size, broken }: FileBounds): TensorEntry {
  const tensor = `tensor ${quoteValue(name)}`;
  if (!isRecord(value)) throw broken(`${tensor} is not described by a JSON object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isSafetensorsDtype(dtype)) throw broken(`${tensor} has the unknown dtype ${quoteValue(dtype)}`);
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    throw broken(`${tensor} has the shape ${quoteValue(shape)}, which is not a list of sizes`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw broken(`${tensor} has data_offsets ${quoteValue(offsets)}, which are not two positions`);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) throw broken(`${tensor} ends (${end}) before it begins (${begin})`);
  if (end > size - dataStart) {
    throw broken(`${tensor} ends at byte ${end}, but the file holds only ${size - dataStart} bytes of tensors`);
  }
  // A product beyond 2^53 is not exact, but then it is also far above any file's size.
  const expected = (shape as number[]).reduce((product, dim) => product * dim, DTYPE_BYTES[dtype]);
  if (expected !== end - begin) {
    throw broken(
      `${tensor} of shape [${shape.join(', ')}] in ${dtype} takes ${expected} bytes, but ${end - begin} are set aside`,
    );
  }
  return { name, dtype, shape: shape as number[], file: path, begin: dataStart + begin, end: dataStart + end };
}

function checkTiling(entries: TensorEntry[], dataStart: number, size: number, broken: Broken): void {
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let position = dataStart;
  let before: TensorEntry | undefined;
  for (const entry of entries) {
    if (entry.begin < position) {
      throw broken(`the bytes of tensors ${quoteValue(before?.name)} and ${quoteValue(entry.name)} overlap`);
    }
    if (entry.begin > position) {
      throw broken(`${entry.begin - position} bytes before tensor ${quoteValue(entry.name)} belong to no tensor`);
    }
    position = entry.end;
    before = entry;
  }
  if (position < size) throw broken(`${size - position} bytes at its end belong to no tensor`);
}

export interface TensorData {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Little-endian contents. A Float32Array is rounded where dtype is F16 or BF16, an Int32Array widened for I64. */
  readonly data: ArrayBufferView;
}

function contentBytes({ name, dtype, shape, data }: TensorData): Uint8Array {
  let view = data;
  if (data instanceof Float32Array && dtype === 'F16') view = f32ToF16(data);
  if (data instanceof Float32Array && dtype === 'BF16') view = f32ToBf16(data);
  if (data instanceof Int32Array && dtype === 'I64') view = BigInt64Array.from(data, BigInt);
  const expected = shape.reduce((product, dim) => product * dim, DTYPE_BYTES[dtype]);
  if (view.byteLength !== expected) {
    throw new Error(`Tensor ${name} [${shape.join(', ')}] ${dtype} takes ${expected} bytes, got ${view.byteLength}`);
  }
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/**
 * A safetensors file. Tensors lie as the safetensors library puts them: wide dtypes first, then by name, so that the
 * same tensors always give the same bytes and every tensor is aligned to its element.
 */
export function writeSafetensors(
  tensors: readonly TensorData[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const ordered = [...tensors].sort(
    (a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype] || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const contents = ordered.map(contentBytes);
  const header: [string, unknown][] = metadata ? [['__metadata__', metadata]] : [];
  const names = new Set(['__metadata__']);
  let position = 0;
  ordered.forEach(({ name, dtype, shape }, i) => {
    if (names.has(name)) throw new Error(`Two tensors are called ${name}`);
    names.add(name);
    const end = position + contents[i]!.byteLength;
    header.push([name, { dtype, shape, data_offsets: [position, end] }]);
    position = end;
  });
  // Object.fromEntries defines even a name like __proto__ as a plain field; names that are whole numbers come first.
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerBytes = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT;
  const file = new Uint8Array(8 + headerBytes + position);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, 8, 8 + headerBytes);
  file.set(json, 8);
  let at = 8 + headerBytes;
  for (const bytes of contents) {
    file.set(bytes, at);
    at += bytes.byteLength;
  }
  return file;
}
