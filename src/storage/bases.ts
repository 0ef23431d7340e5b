import { UserError } from '../common/errors.ts';
import { database } from './database.ts';
import { withStorageErrors } from './errors.ts';
import { OpfsFolder } from './folders.ts';
import type { BaseRecord } from './records.ts';

async function basesDirectory(): Promise<FileSystemDirectoryHandle> {
  return withStorageErrors('the model', async () => {
    const root = await navigator.storage.getDirectory();
    return root.getDirectoryHandle('bases', { create: true });
  });
}

/** Where the files of a base lie, each under its number. */
export async function baseDirectory(id: string): Promise<FileSystemDirectoryHandle> {
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

export async function deleteBase(id: string): Promise<void> {
  await (await database()).delete('bases', id);
  const directory = await basesDirectory();
  await directory.removeEntry(id, { recursive: true }).catch(() => undefined);
}
