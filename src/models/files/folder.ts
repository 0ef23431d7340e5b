import { UserError } from '../../common/errors.ts';

/** A model or adapter folder wherever it lies: picked on disk, in OPFS, behind a URL, or on Node's file system. */
export interface ModelFolder {
  /** What the person called it; shown, never used as a path. */
  readonly name: string;
  /** Paths inside the folder, with forward slashes ("unet/config.json"). */
  readonly files: readonly string[];
  /** Size in bytes. Throws UserError where the file is missing. */
  size(path: string): Promise<number>;
  /** The bytes [start, end) of a file. Throws UserError where the file is missing or shorter. */
  read(path: string, start?: number, end?: number): Promise<Uint8Array<ArrayBuffer>>;
}

export async function readText(folder: ModelFolder, path: string): Promise<string> {
  return new TextDecoder('utf-8').decode(await folder.read(path));
}

/** Parses a JSON file; a broken one is named. The result is untrusted: check each field that is used. */
export async function readJson(folder: ModelFolder, path: string): Promise<unknown> {
  const text = await readText(folder, path);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new UserError(`${path} in “${folder.name}” is not valid JSON. Download the file again.`);
  }
}

/** A folder held in memory, for tests and for what the page made itself. */
export class MemoryFolder implements ModelFolder {
  readonly name: string;
  readonly #contents: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

  constructor(name: string, contents: ReadonlyMap<string, Uint8Array<ArrayBuffer>>) {
    this.name = name;
    this.#contents = contents;
  }

  get files(): readonly string[] {
    return [...this.#contents.keys()];
  }

  #bytes(path: string): Uint8Array<ArrayBuffer> {
    const bytes = this.#contents.get(path);
    if (!bytes) throw new UserError(`“${this.name}” has no file ${path}.`);
    return bytes;
  }

  size(path: string): Promise<number> {
    return Promise.resolve(this.#bytes(path).byteLength);
  }

  read(path: string, start = 0, end?: number): Promise<Uint8Array<ArrayBuffer>> {
    return Promise.resolve(this.#bytes(path).slice(start, end));
  }
}
