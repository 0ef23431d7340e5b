import { zipSync } from 'fflate';

/** A zip archive of files by path, the same bytes for the same files. Weights do not compress, so nothing is compressed. */
export function zipFolder(files: ReadonlyMap<string, Uint8Array>): Uint8Array<ArrayBuffer> {
  const mtime = new Date(1980, 0, 1);
  return zipSync(Object.fromEntries(files), { level: 0, mtime });
}
