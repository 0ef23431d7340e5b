import { UserError } from '../common/errors.ts';
import { database, newId } from './database.ts';
import { withStorageErrors, storageError } from './errors.ts';
import { formatBytes } from '../common/format.ts';
import { OpfsFolder } from './folders.ts';
import type { BaseRecord } from './records.ts';
import type { Task } from '../common/task.ts';

/** A file to be kept: what it is called inside the folder, and where its bytes come from. */
export interface IncomingFile {
  path: string;
  file: Blob;
}

export interface ImportProgress {
  doneBytes: number;
  totalBytes: number;
  path: string;
}

/** Chrome never reports more than 10 GiB as free, however much there is: only less than that is a reason to refuse. */
const REPORTED_AT_MOST = 10 * 2 ** 30 * 0.99;

/** Only in workers, and therefore not in TypeScript's DOM library. */
interface SyncAccessHandle {
  getSize(): number;
  truncate(size: number): void;
  write(bytes: Uint8Array, options: { at: number }): number;
  flush(): void;
  close(): void;
}
type WorkerFileHandle = FileSystemFileHandle & { createSyncAccessHandle(): Promise<SyncAccessHandle> };

/** Bytes written at once: large enough for the disk, small beside any model. */
const PIECE = 4 * 1024 * 1024;

async function basesDirectory(): Promise<FileSystemDirectoryHandle> {
  return withStorageErrors('the model', async () => {
    const root = await navigator.storage.getDirectory();
    return root.getDirectoryHandle('bases', { create: true });
  });
}

async function baseDirectory(id: string): Promise<FileSystemDirectoryHandle> {
  return (await basesDirectory()).getDirectoryHandle(id, { create: true });
}

/** All bases on this machine, the newest first; also those that have not fully arrived. */
export async function listBases(): Promise<BaseRecord[]> {
  const bases = await (await database()).getAll('bases');
  return bases.sort((a, b) => b.createdAt - a.createdAt);
}

export async function getBase(id: string): Promise<BaseRecord | undefined> {
  return (await database()).get('bases', id);
}

/** The folder of a base that has fully arrived. */
export async function openBase(base: BaseRecord): Promise<OpfsFolder> {
  if (!base.complete) {
    throw new UserError(
      `“${base.name}” has not fully arrived. Pick its folder again under Base: what is here already is kept.`,
    );
  }
  const names = new Map(base.files.map((file, i) => [file.path, String(i)]));
  return new OpfsFolder(base.name, await baseDirectory(base.id), names);
}

async function writtenSize(directory: FileSystemDirectoryHandle, name: string): Promise<number> {
  try {
    return (await (await directory.getFileHandle(name)).getFile()).size;
  } catch {
    return 0;
  }
}

/** Appends to one file from where it ends. Runs in a worker: only there are sync access handles. */
async function writeFile(
  directory: FileSystemDirectoryHandle,
  name: string,
  incoming: IncomingFile,
  signal: AbortSignal | undefined,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const handle = await directory.getFileHandle(name, { create: true });
  const access = await (handle as WorkerFileHandle).createSyncAccessHandle();
  try {
    let at = access.getSize();
    // A longer file is somebody else's; begin anew.
    if (at > incoming.file.size) {
      access.truncate(0);
      at = 0;
    }
    onBytes(at);
    while (at < incoming.file.size) {
      signal?.throwIfAborted();
      let piece: Uint8Array;
      try {
        piece = new Uint8Array(await incoming.file.slice(at, at + PIECE).arrayBuffer());
      } catch {
        throw new UserError(
          `${incoming.path} can no longer be read: it was changed, moved or deleted meanwhile. Pick the folder again.`,
        );
      }
      const written = access.write(piece, { at });
      // A full disk can show as a short write in place of an error.
      if (written < piece.byteLength) throw new DOMException('short write', 'QuotaExceededError');
      at += written;
      onBytes(written);
    }
    access.flush();
  } finally {
    access.close();
  }
}

function sameFiles(base: BaseRecord, files: readonly IncomingFile[]): boolean {
  return (
    base.files.length === files.length &&
    base.files.every((file, i) => file.path === files[i]?.path && file.size === files[i]?.file.size)
  );
}

/**
 * Streams a model folder into OPFS, never a whole file in memory. Broken off (a closed tab, a full disk, `signal`), what
 * has arrived stays, and the same folder picked again goes on from there.
 */
export async function importBase(
  name: string,
  incoming: readonly IncomingFile[],
  options: { task?: Task; onProgress?: (progress: ImportProgress) => void; signal?: AbortSignal } = {},
): Promise<BaseRecord> {
  const files = [...incoming].sort((a, b) => (a.path < b.path ? -1 : 1));
  const totalBytes = files.reduce((sum, file) => sum + file.file.size, 0);
  const db = await database();
  const known = (await listBases()).find((base) => base.name === name && sameFiles(base, files));
  const base: BaseRecord = known ?? {
    id: newId(),
    task: options.task ?? 'voice',
    name,
    createdAt: Date.now(),
    bytes: totalBytes,
    files: files.map((file) => ({ path: file.path, size: file.file.size })),
    complete: false,
  };
  if (base.complete) return base;
  const directory = await baseDirectory(base.id);
  let present = 0;
  for (let i = 0; i < files.length; i++) present += await writtenSize(directory, String(i));
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate();
  const free = quota - usage;
  if (totalBytes - present > free && free < REPORTED_AT_MOST) {
    throw new UserError(
      `“${name}” takes ${formatBytes(totalBytes - present)}, and the browser gives this page ${formatBytes(Math.max(0, free))} more. ` +
        'Nothing was changed. Free some disk space, or delete what is no longer needed under Settings.',
    );
  }
  await withStorageErrors('the model', () => db.put('bases', base));
  let doneBytes = 0;
  try {
    for (let i = 0; i < files.length; i++) {
      const file = files[i]!;
      await writeFile(directory, String(i), file, options.signal, (bytes) => {
        doneBytes += bytes;
        options.onProgress?.({ doneBytes, totalBytes, path: file.path });
      });
    }
  } catch (error) {
    if ((error as { name?: unknown }).name === 'NoModificationAllowedError') {
      throw new UserError(`“${name}” is being added in another tab. Wait for it there, or close that tab.`);
    }
    throw storageError(error, `the rest of “${name}”`);
  }
  const complete = { ...base, complete: true };
  await withStorageErrors('the model', () => db.put('bases', complete));
  return complete;
}

export async function deleteBase(id: string): Promise<void> {
  await (await database()).delete('bases', id);
  const directory = await basesDirectory();
  await directory.removeEntry(id, { recursive: true }).catch(() => undefined);
}
