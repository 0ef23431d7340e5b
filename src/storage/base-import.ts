import { UserError } from '../common/errors.ts';
import { formatBytes } from '../common/format.ts';
import type { Task } from '../common/task.ts';
import { baseDirectory, listBases } from './bases.ts';
import { database, newId } from './database.ts';
import { headDigest, PIECE, pieceCount, pieceDigest, readIncoming, sha256, type IncomingFile } from './digests.ts';
import { storageError, withStorageErrors } from './errors.ts';
import type { BaseFile, BaseRecord } from './records.ts';

export interface ImportProgress {
  doneBytes: number;
  totalBytes: number;
  path: string;
}

/** Chrome never reports more than 10 GiB as free, however much there is: only less than that is a reason to refuse. */
const REPORTED_AT_MOST = 10 * 2 ** 30 * 0.99;

async function writtenSize(directory: FileSystemDirectoryHandle, name: string): Promise<number> {
  try {
    return (await (await directory.getFileHandle(name)).getFile()).size;
  } catch {
    return 0;
  }
}

/** Whether the `present` bytes that lie of a piece are its first ones. */
function isSamePart(access: FileSystemSyncAccessHandle, at: number, piece: Uint8Array, present: number): boolean {
  const there = new Uint8Array(present);
  if (access.read(there, { at }) !== present) return false;
  for (let i = 0; i < present; i++) if (there[i] !== piece[i]) return false;
  return true;
}

/** A file of a base as it lies here. */
async function keptFile(base: BaseRecord, index: number): Promise<IncomingFile | null> {
  try {
    const handle = await (await baseDirectory(base.id)).getFileHandle(String(index));
    return { path: base.files[index]!.path, file: await handle.getFile() };
  } catch {
    return null;
  }
}

/** The bases whose files have the same names, sizes and heads: weights may still differ. */
async function basesLike(task: Task, files: readonly BaseFile[]): Promise<BaseRecord[]> {
  const alike: BaseRecord[] = [];
  for (const base of await listBases()) {
    const same =
      (base.task ?? 'voice') === task &&
      base.files.length === files.length &&
      base.files.every(({ path, size }, i) => path === files[i]!.path && size === files[i]!.size);
    if (!same) continue;
    const heads = await Promise.all(base.files.map(async ({ head }, i) => head ?? (await keptHead(base, i))));
    // What has not arrived yet differs in nothing so far.
    if (heads.every((head, i) => head === files[i]!.head || (head === null && !base.complete))) alike.push(base);
  }
  return alike;
}

/** The head of a file as it lies here, of a base that was kept without; null where it is not there whole. */
async function keptHead(base: BaseRecord, index: number): Promise<string | null> {
  const kept = await keptFile(base, index);
  if (!kept || kept.file.size < base.files[index]!.size) return null;
  return headDigest(kept);
}

/** Reads what is to be kept; hears of every piece. */
interface Reading {
  sources: readonly IncomingFile[];
  signal: AbortSignal | undefined;
  onBytes(path: string, bytes: number): void;
}

async function knownDigest(base: BaseRecord, index: number, piece: number): Promise<string | null> {
  const { pieces } = base.files[index]!;
  if (pieces) return pieces[piece]!;
  const kept = await keptFile(base, index);
  return kept && pieceDigest(kept, piece);
}

/**
 * The base that holds exactly these files, among some that look like it, and the digests of all their pieces. Reads on only
 * while there is one that may be it: other weights mostly differ within the first piece.
 */
async function sameContent(
  candidates: readonly BaseRecord[],
  { sources, signal, onBytes }: Reading,
): Promise<{ base: BaseRecord; pieces: string[][] } | null> {
  let alike = candidates;
  const pieces: string[][] = sources.map(() => []);
  for (const [i, source] of sources.entries()) {
    const { size } = source.file;
    for (let piece = 0; piece < pieceCount(size) && alike.length > 0; piece++) {
      signal?.throwIfAborted();
      const digest = await pieceDigest(source, piece);
      const known = await Promise.all(alike.map((base) => knownDigest(base, i, piece)));
      alike = alike.filter((_, n) => known[n] === digest);
      pieces[i]!.push(digest);
      onBytes(source.path, Math.min(PIECE, size - piece * PIECE));
    }
  }
  return alike[0] ? { base: alike[0], pieces } : null;
}

/**
 * Writes one file and returns the digests of its pieces. What lies there of a copy that broke off is kept as far as it is the
 * same. Runs in a worker: only there are sync access handles.
 */
async function writeFile(handle: FileSystemFileHandle, source: IncomingFile, reading: Reading): Promise<string[]> {
  const { size } = source.file;
  const access = await handle.createSyncAccessHandle();
  const pieces: string[] = [];
  try {
    if (access.getSize() > size) access.truncate(size);
    for (let at = 0; at < size; at += PIECE) {
      reading.signal?.throwIfAborted();
      const piece = await readIncoming(source, at, at + PIECE);
      const present = Math.min(Math.max(0, access.getSize() - at), piece.byteLength);
      const kept = isSamePart(access, at, piece, present) ? present : 0;
      if (kept < present) access.truncate(at);
      if (kept < piece.byteLength) {
        const written = access.write(piece.subarray(kept), { at: at + kept });
        // A full disk can show as a short write in place of an error.
        if (kept + written < piece.byteLength) throw new DOMException('short write', 'QuotaExceededError');
      }
      pieces.push(await sha256(piece));
      reading.onBytes(source.path, piece.byteLength);
    }
    access.flush();
  } finally {
    access.close();
  }
  return pieces;
}

async function writeFiles(directory: FileSystemDirectoryHandle, reading: Reading): Promise<string[][]> {
  const pieces: string[][] = [];
  for (const [i, source] of reading.sources.entries()) {
    const handle = await directory.getFileHandle(String(i), { create: true });
    pieces.push(await writeFile(handle, source, reading));
  }
  return pieces;
}

/** A name that no other base of the kind has. */
function freeName(name: string, task: Task, others: readonly BaseRecord[]): string {
  const taken = new Set(others.filter((base) => (base.task ?? 'voice') === task).map((base) => base.name));
  let free = name;
  for (let n = 2; taken.has(free); n++) free = `${name} (${n})`;
  return free;
}

async function requireRoom(name: string, bytes: number): Promise<void> {
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate();
  const free = quota - usage;
  if (bytes <= free || free >= REPORTED_AT_MOST) return;
  throw new UserError(
    `“${name}” takes ${formatBytes(bytes)}, and the browser gives this page ${formatBytes(Math.max(0, free))} more. ` +
      'Nothing was changed. Free some disk space, or delete what is no longer needed under Settings.',
  );
}

async function keepComplete(base: BaseRecord, files: readonly BaseFile[], pieces: string[][]): Promise<BaseRecord> {
  const complete = { ...base, files: files.map((file, i) => ({ ...file, pieces: pieces[i]! })), complete: true };
  const db = await database();
  await withStorageErrors('the model', () => db.put('bases', complete));
  return complete;
}

interface ImportOptions {
  task?: Task;
  onProgress?: (progress: ImportProgress) => void;
  signal?: AbortSignal;
}

/**
 * Streams a model folder into OPFS, never a whole file in memory. A folder that is here already is found by what is in it,
 * whatever it is called; one that looks the same and has other weights is another base. Broken off (a closed tab, a full disk,
 * `signal`), what has arrived stays, and the same folder picked again goes on from there.
 */
export async function importBase(
  name: string,
  incoming: readonly IncomingFile[],
  { task = 'voice', onProgress, signal }: ImportOptions = {},
): Promise<BaseRecord> {
  const sources = [...incoming].sort((a, b) => (a.path < b.path ? -1 : 1));
  const totalBytes = sources.reduce((sum, { file }) => sum + file.size, 0);
  const reading = (): Reading => {
    let doneBytes = 0;
    return {
      sources,
      signal,
      onBytes(path, bytes) {
        doneBytes += bytes;
        onProgress?.({ doneBytes, totalBytes, path });
      },
    };
  };
  const files: BaseFile[] = [];
  for (const source of sources) {
    files.push({ path: source.path, size: source.file.size, head: await headDigest(source) });
  }
  const alike = await basesLike(task, files);
  // A copy under this name that broke off is what the person means, were the same files here under another.
  const partial = alike.filter(({ complete }) => !complete);
  const own = partial.find((base) => base.name === name);
  const whole = own ? [] : alike.filter(({ complete }) => complete);
  const same = await sameContent(whole, reading());
  // Kept also where it was known: an older page wrote no digests.
  if (same) return keepComplete(same.base, files, same.pieces);

  const begun = own ?? partial[0];
  const others = (await listBases()).filter(({ id }) => id !== begun?.id);
  const base: BaseRecord = {
    id: begun?.id ?? newId(),
    task,
    name: freeName(name, task, others),
    createdAt: begun?.createdAt ?? Date.now(),
    bytes: totalBytes,
    files,
    complete: false,
  };
  const directory = await baseDirectory(base.id);
  let present = 0;
  for (let i = 0; i < files.length; i++) present += await writtenSize(directory, String(i));
  await requireRoom(name, totalBytes - present);
  const db = await database();
  await withStorageErrors('the model', () => db.put('bases', base));
  try {
    return await keepComplete(base, files, await writeFiles(directory, reading()));
  } catch (error) {
    if ((error as { name?: unknown }).name === 'NoModificationAllowedError') {
      throw new UserError(`“${name}” is being added in another tab. Wait for it there, or close that tab.`);
    }
    throw storageError(error, `the rest of “${name}”`);
  }
}
