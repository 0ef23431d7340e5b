import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MemoryFolder } from '../../src/models/files/folder.ts';

/** A folder of small files on disk as a model folder. */
export function diskFolder(path: string): MemoryFolder {
  const files = readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1));
  return new MemoryFolder(
    path.split('/').at(-1)!,
    new Map(files.map((file) => [file, new Uint8Array(readFileSync(join(path, file)))])),
  );
}

export const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;

/** A fixture written by tests/reference/formats_fixtures.py. */
export function fixture<T>(path: string): T {
  return JSON.parse(readFileSync(join(FIXTURES, path), 'utf8')) as T;
}

/** Larger public data, where this machine has it. */
export function sharedData(path: string): string | null {
  const root = process.env['ATHANOR_SHARED'] ?? new URL('../../../shared', import.meta.url).pathname;
  const full = join(root, 'data', path);
  return existsSync(full) ? full : null;
}

/** Small text files in memory. */
export function textFolder(
  name: string,
  files: Record<string, string | object | Uint8Array<ArrayBuffer>>,
): MemoryFolder {
  const bytes = (content: string | object): Uint8Array<ArrayBuffer> =>
    content instanceof Uint8Array
      ? (content as Uint8Array<ArrayBuffer>)
      : new TextEncoder().encode(typeof content === 'string' ? content : JSON.stringify(content));
  return new MemoryFolder(name, new Map(Object.entries(files).map(([path, content]) => [path, bytes(content)])));
}
