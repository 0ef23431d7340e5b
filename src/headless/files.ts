import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { UserError } from '../common/errors.ts';
import type { SourceFile } from '../datasets/source-file.ts';
import type { ModelFolder } from '../models/files/folder.ts';

/** A folder on Node's file system. */
export class NodeFolder implements ModelFolder {
  readonly name: string;
  readonly files: readonly string[];
  readonly #path: string;

  constructor(path: string) {
    this.#path = resolve(path);
    if (!existsSync(this.#path) || !statSync(this.#path).isDirectory())
      throw new UserError(`There is no folder ${path}.`);
    this.name = basename(this.#path);
    this.files = readdirSync(this.#path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() || entry.isSymbolicLink())
      .map((entry) => relative(this.#path, join(entry.parentPath, entry.name)).split(sep).join('/'));
  }

  #file(path: string): string {
    if (!this.files.includes(path)) throw new UserError(`“${this.name}” has no file ${path}.`);
    return join(this.#path, path);
  }

  size(path: string): Promise<number> {
    return Promise.resolve(statSync(this.#file(path)).size);
  }

  async read(path: string, start = 0, end?: number): Promise<Uint8Array<ArrayBuffer>> {
    const file = await open(this.#file(path));
    try {
      const stop = end ?? (await file.stat()).size;
      const bytes = new Uint8Array(Math.max(0, stop - start));
      let done = 0;
      while (done < bytes.length) {
        const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
        if (bytesRead === 0) throw new UserError(`${path} in “${this.name}” ends too early.`);
        done += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  }
}

/** The folder a file lies in, and its name there. */
export function folderOf(path: string): { folder: NodeFolder; file: string } {
  if (!existsSync(path)) throw new UserError(`There is no file ${path}.`);
  return { folder: new NodeFolder(dirname(path)), file: basename(path) };
}

/** Files and, for folders, all that lies in them at any depth, in order; names are paths from the folder's own name on. */
export function filesUnder(paths: readonly string[]): { path: string; name: string }[] {
  const inside = (folder: string, name: string): { path: string; name: string }[] =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => !entry.name.startsWith('.'))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((entry) => under(join(folder, entry.name), `${name}/${entry.name}`));
  const under = (path: string, name: string): { path: string; name: string }[] => {
    const stat = statSync(path);
    if (stat.isDirectory()) return inside(path, name);
    return stat.isFile() ? [{ path, name }] : [];
  };
  return paths.flatMap((path) => {
    if (!existsSync(path)) throw new UserError(`There is no file ${path}.`);
    return statSync(path).isDirectory() ? inside(path, basename(path)) : [{ path, name: basename(path) }];
  });
}

/** A file, or every file of a folder and its folders, as an import takes them. */
export function sourceFiles(path: string): SourceFile[] {
  return filesUnder([path]).map(({ path: file, name }) => ({
    name,
    size: statSync(file).size,
    stream: () => new Blob([readFileSync(file)]).stream() as ReadableStream<Uint8Array>,
  }));
}

export function writeOut(folder: string, files: Iterable<readonly [string, Uint8Array | string]>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of files) writeFileSync(join(folder, name), content);
}
