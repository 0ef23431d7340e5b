/**
 * What can be computed again but takes long: latents and text states of a look, by a hash of what they were made from. Lies
 * in OPFS; losing any of it costs time and nothing else, so failures to write are no failures of the caller.
 */
const FOLDER = 'cache';
/** Beyond this the oldest entries go. */
const MOST_BYTES = 2e9;

async function folder(): Promise<FileSystemDirectoryHandle> {
  return (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
}

/** A key of any length as a file's name: hex SHA-256. */
async function fileName(key: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The bytes kept under a key; undefined where there are none. */
export async function readCached(key: string): Promise<ArrayBuffer | undefined> {
  try {
    const handle = await (await folder()).getFileHandle(await fileName(key));
    const bytes = await (await handle.getFile()).arrayBuffer();
    return bytes.byteLength > 0 ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps bytes under a key. A full disk leaves them out. */
export async function writeCached(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const name = await fileName(key);
  const directory = await folder();
  try {
    const handle = await directory.getFileHandle(name, { create: true });
    const writable = await handle.createWritable();
    await writable.write(bytes);
    await writable.close();
  } catch {
    await directory.removeEntry(name).catch(() => undefined);
  }
}

async function entries(): Promise<{ name: string; size: number; changedAt: number }[]> {
  const list: { name: string; size: number; changedAt: number }[] = [];
  for await (const [name, handle] of (await folder()).entries()) {
    if (handle.kind !== 'file') continue;
    const file = await (handle as FileSystemFileHandle).getFile();
    list.push({ name, size: file.size, changedAt: file.lastModified });
  }
  return list;
}

/** Bytes that the cache takes. */
export async function cachedBytes(): Promise<number> {
  return (await entries()).reduce((sum, { size }) => sum + size, 0);
}

/** Removes everything, or, with a limit, the oldest until the rest is within it. */
export async function clearCache(keep = 0): Promise<void> {
  const directory = await folder();
  const oldestFirst = (await entries()).sort((a, b) => a.changedAt - b.changedAt);
  let total = oldestFirst.reduce((sum, { size }) => sum + size, 0);
  for (const { name, size } of oldestFirst) {
    if (total <= keep) return;
    await directory.removeEntry(name).catch(() => undefined);
    total -= size;
  }
}

/** Keeps the cache within its limit. */
export const trimCache = (): Promise<void> => clearCache(MOST_BYTES);
