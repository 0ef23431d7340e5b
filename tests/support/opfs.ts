/** The browser's private file system in memory: as much of it as src/storage asks for, sync access handles of a worker included. */

class Access {
  readonly #file: MemoryFile;

  constructor(file: MemoryFile) {
    this.#file = file;
  }

  getSize(): number {
    return this.#file.bytes.length;
  }

  truncate(size: number): void {
    this.#file.resize(size);
  }

  read(into: Uint8Array, { at }: { at: number }): number {
    const there = this.#file.bytes.subarray(at, at + into.length);
    into.set(there);
    return there.length;
  }

  write(bytes: Uint8Array, { at }: { at: number }): number {
    this.#file.writes.push([at, at + bytes.length]);
    if (at + bytes.length > this.#file.bytes.length) this.#file.resize(at + bytes.length);
    this.#file.bytes.set(bytes, at);
    return bytes.length;
  }

  flush(): void {
    // What is written lies in memory at once.
  }

  close(): void {
    this.#file.locked = false;
  }
}

export class MemoryFile {
  readonly kind = 'file';
  bytes = new Uint8Array();
  locked = false;
  /** Where bytes were written, from and to, since the test last emptied this. */
  readonly writes: [number, number][] = [];

  resize(size: number): void {
    const bytes = new Uint8Array(size);
    bytes.set(this.bytes.subarray(0, size));
    this.bytes = bytes;
  }

  getFile(): Promise<Blob> {
    return Promise.resolve(new Blob([this.bytes]));
  }

  async createSyncAccessHandle(): Promise<Access> {
    if (this.locked) throw new DOMException('open elsewhere', 'NoModificationAllowedError');
    this.locked = true;
    return new Access(this);
  }
}

export class MemoryDirectory {
  readonly kind = 'directory';
  readonly #entries = new Map<string, MemoryFile | MemoryDirectory>();

  #get<E>(name: string, kind: new () => E, create: boolean): Promise<E> {
    let entry: unknown = this.#entries.get(name);
    if (entry === undefined && create) {
      entry = new kind();
      this.#entries.set(name, entry as MemoryFile);
    }
    if (entry instanceof kind) return Promise.resolve(entry);
    return Promise.reject(new DOMException(`no ${name}`, entry ? 'TypeMismatchError' : 'NotFoundError'));
  }

  getFileHandle(name: string, { create = false } = {}): Promise<MemoryFile> {
    return this.#get(name, MemoryFile, create);
  }

  getDirectoryHandle(name: string, { create = false } = {}): Promise<MemoryDirectory> {
    return this.#get(name, MemoryDirectory, create);
  }

  removeEntry(name: string): Promise<void> {
    this.#entries.delete(name);
    return Promise.resolve();
  }
}

/** What `navigator.storage` is in a browser. */
export function memoryStorage(root: MemoryDirectory, estimate = { usage: 0, quota: 1e12 }) {
  return { getDirectory: async () => root, estimate: async () => estimate };
}
