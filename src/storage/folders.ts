import { UserError } from '../common/errors.ts';

/**
 * Model folders by where they lie. Each has the shape of ModelFolder (src/models/files/folder.ts), which lies above this
 * layer; the worker, which knows both, hands them on.
 */

function missing(folder: string, path: string): UserError {
  return new UserError(`“${folder}” has no file ${path}.`);
}

async function slice(folder: string, path: string, file: Blob, start = 0, end = file.size) {
  if (start < 0 || end > file.size || start > end) {
    throw new UserError(`${path} in “${folder}” is shorter than it says. Copy or download the file again.`);
  }
  try {
    return new Uint8Array(await file.slice(start, end).arrayBuffer());
  } catch {
    throw new UserError(
      `${path} in “${folder}” can no longer be read: it was changed, moved or deleted meanwhile. Pick the folder again.`,
    );
  }
}

/** Files that the person picked or dropped; read from disk piece by piece. */
export class PickedFolder {
  readonly name: string;
  readonly #files: ReadonlyMap<string, File>;

  constructor(name: string, files: ReadonlyMap<string, File>) {
    this.name = name;
    this.#files = files;
  }

  get files(): readonly string[] {
    return [...this.#files.keys()];
  }

  #file(path: string): File {
    const file = this.#files.get(path);
    if (!file) throw missing(this.name, path);
    return file;
  }

  async size(path: string): Promise<number> {
    return this.#file(path).size;
  }

  async read(path: string, start?: number, end?: number): Promise<Uint8Array<ArrayBuffer>> {
    return slice(this.name, path, this.#file(path), start, end);
  }
}

/** A folder in OPFS; `names` maps a path inside the folder to the name under which its bytes lie. */
export class OpfsFolder {
  readonly name: string;
  readonly #directory: FileSystemDirectoryHandle;
  readonly #names: ReadonlyMap<string, string>;
  readonly #open = new Map<string, File>();

  constructor(name: string, directory: FileSystemDirectoryHandle, names: ReadonlyMap<string, string>) {
    this.name = name;
    this.#directory = directory;
    this.#names = names;
  }

  get files(): readonly string[] {
    return [...this.#names.keys()];
  }

  async #file(path: string): Promise<File> {
    const known = this.#open.get(path);
    if (known) return known;
    const name = this.#names.get(path);
    if (name === undefined) throw missing(this.name, path);
    try {
      const file = await (await this.#directory.getFileHandle(name)).getFile();
      this.#open.set(path, file);
      return file;
    } catch {
      throw new UserError(`${path} of “${this.name}” is gone from the browser's storage. Add the folder again.`);
    }
  }

  async size(path: string): Promise<number> {
    return (await this.#file(path)).size;
  }

  async read(path: string, start?: number, end?: number): Promise<Uint8Array<ArrayBuffer>> {
    return slice(this.name, path, await this.#file(path), start, end);
  }
}

/** A folder of small files behind a URL: the base that comes with the page. Each file is fetched whole, once. */
export class UrlFolder {
  readonly name: string;
  readonly files: readonly string[];
  readonly #url: string;
  readonly #fetched = new Map<string, Promise<Blob>>();

  /** `url` ends with a slash; `files` are names inside it. */
  constructor(name: string, url: string, files: readonly string[]) {
    this.name = name;
    this.#url = url;
    this.files = files;
  }

  #blob(path: string): Promise<Blob> {
    if (!this.files.includes(path)) return Promise.reject(missing(this.name, path));
    let blob = this.#fetched.get(path);
    if (!blob) {
      blob = this.#fetch(path).catch((error: unknown) => {
        this.#fetched.delete(path);
        throw error;
      });
      this.#fetched.set(path, blob);
    }
    return blob;
  }

  async #fetch(path: string): Promise<Blob> {
    let answer: Response;
    try {
      answer = await fetch(this.#url + path);
    } catch {
      throw new UserError(
        `${path} of “${this.name}” could not be fetched: the page's server does not answer. Try again.`,
      );
    }
    if (!answer.ok) {
      throw new UserError(
        `${path} of “${this.name}” could not be fetched (the server said ${answer.status}). Reload the page.`,
      );
    }
    return answer.blob();
  }

  async size(path: string): Promise<number> {
    return (await this.#blob(path)).size;
  }

  async read(path: string, start?: number, end?: number): Promise<Uint8Array<ArrayBuffer>> {
    return slice(this.name, path, await this.#blob(path), start, end);
  }
}
