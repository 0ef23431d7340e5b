import { UserError } from '../common/errors.ts';
import type { NamedFile } from '../common/named-file.ts';

export interface PickedFiles {
  name: string;
  files: { path: string; file: File }[];
}

/** What a base is made of; everything else in a picked folder (checkpoints of other formats, images) stays where it is. */
export const WANTED = /\.(json|safetensors|jinja|txt|model)$/i;

/** The files of a model folder among those picked; UserError where it is none. */
export function modelFiles({ name, files }: PickedFiles): PickedFiles {
  const found = files.filter(({ path }) => WANTED.test(path) && !path.includes('/'));
  const has = (test: (path: string) => boolean): boolean => found.some(({ path }) => test(path));
  const other = files.find(({ path }) => /\.(gguf|bin|pth|pt|ckpt)$/i.test(path));
  if (files.length === 0) throw new UserError(`“${name}” is empty. Pick the folder that holds config.json.`);
  if (!has((path) => path === 'config.json')) {
    throw new UserError(
      other && files.length <= 2
        ? `“${other.path}” is a model in another format. Pick the folder with config.json, tokenizer.json and .safetensors files.`
        : `“${name}” is no model folder: there is no config.json in it. Pick the folder that holds config.json, tokenizer.json and .safetensors files.`,
    );
  }
  if (!has((path) => path.endsWith('.safetensors'))) {
    throw new UserError(
      `“${name}” has no .safetensors file${other ? `, only ${other.path}` : ''}. Get the model in the safetensors format.`,
    );
  }
  if (!has((path) => path === 'tokenizer.json')) {
    throw new UserError(`“${name}” has no tokenizer.json, so its words cannot be read. Add that file to the folder.`);
  }
  return { name, files: found };
}

/** Folders inside folders go no deeper than this in any model. */
const DEEPEST = 3;

/** Files from an <input webkitdirectory>. */
export function fromInput(list: FileList): PickedFiles {
  const files = [...list];
  const name = files[0]?.webkitRelativePath.split('/')[0] ?? '';
  return {
    name: name === '' ? 'the folder' : name,
    files: files.map((file) => ({ path: file.webkitRelativePath.split('/').slice(1).join('/') || file.name, file })),
  };
}

/** Single files from an <input type="file" multiple>. */
export function fromFiles(list: FileList): PickedFiles {
  return { name: 'the files', files: [...list].map((file) => ({ path: file.name, file })) };
}

async function readEntries(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  const all: FileSystemEntry[] = [];
  for (;;) {
    // A reader hands out at most a hundred entries a call.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

function entryFile(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

async function entryFiles(entry: FileSystemEntry, path: string, depth: number): Promise<PickedFiles['files']> {
  if (entry.isFile) return [{ path, file: await entryFile(entry as FileSystemFileEntry) }];
  if (depth > DEEPEST || entry.name.startsWith('.')) return [];
  const inside = await readEntries((entry as FileSystemDirectoryEntry).createReader());
  return (await Promise.all(inside.map((one) => entryFiles(one, `${path}/${one.name}`, depth + 1)))).flat();
}

/** A dropped folder, or the files of one. The items must be read before the drop event ends: call this in it. */
export async function fromDrop(items: DataTransferItemList): Promise<PickedFiles> {
  const entries = [...items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  const folder = entries.find((entry): entry is FileSystemDirectoryEntry => entry.isDirectory);
  const inside = folder ? await readEntries(folder.createReader()) : entries;
  return {
    name: folder?.name ?? 'dropped model',
    files: (await Promise.all(inside.map((entry) => entryFiles(entry, entry.name, 1)))).flat(),
  };
}

/** Every file that was dropped, with its path where it lay in a folder. Call this in the drop event. */
export async function droppedFiles(items: DataTransferItemList): Promise<NamedFile[]> {
  const entries = [...items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  const files = (await Promise.all(entries.map((entry) => entryFiles(entry, entry.name, 0)))).flat();
  return files.map(({ path, file }) => ({ name: path, file }));
}

type Directory = FileSystemDirectoryHandle & { values(): AsyncIterable<FileSystemHandle> };
type DirectoryPicker = () => Promise<Directory>;

async function directoryFiles(directory: Directory, path: string, depth: number): Promise<PickedFiles['files']> {
  const files: PickedFiles['files'] = [];
  for await (const handle of directory.values()) {
    if (handle.kind === 'file') {
      files.push({ path: path + handle.name, file: await (handle as FileSystemFileHandle).getFile() });
    } else if (depth < DEEPEST && !handle.name.startsWith('.')) {
      files.push(...(await directoryFiles(handle as Directory, `${path}${handle.name}/`, depth + 1)));
    }
  }
  return files;
}

/** The browser's folder picker; null where it has none. */
export function directoryPicker(): DirectoryPicker | null {
  const picker = (window as { showDirectoryPicker?: DirectoryPicker }).showDirectoryPicker;
  return picker ? () => picker.call(window) : null;
}

/** Lets the person pick a folder; null where they changed their mind. */
export async function pickFolder(pick: DirectoryPicker): Promise<PickedFiles | null> {
  let directory: Awaited<ReturnType<DirectoryPicker>>;
  try {
    directory = await pick();
  } catch (error) {
    if ((error as { name?: unknown }).name === 'AbortError') return null;
    throw new UserError(
      'The browser did not let this page read that folder. Pick another one, or drop the folder here.',
    );
  }
  return { name: directory.name, files: await directoryFiles(directory, '', 0) };
}
