import { UserError } from '../common/errors.ts';
import type { NamedFile } from '../common/named-file.ts';

export interface PickedFiles {
  name: string;
  files: { path: string; file: File }[];
}

/** What a base is made of; everything else in a picked folder (checkpoints of other formats, images) stays where it is. */
const WANTED = /\.(json|safetensors|jinja|txt|model)$/i;

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

/** The parts of a diffusers folder that are read. */
const PARTS = /^(unet|vae|text_encoder|text_encoder_2|tokenizer|tokenizer_2|scheduler)\/[^/]+$/;
const TOKENIZER = /(^|\/)(tokenizer\.json|vocab\.json|merges\.txt)$/;

/** Weights of a part are often there twice or three times over: the plain ones, in half precision, and before averaging. */
function plainWeights(files: PickedFiles['files']): PickedFiles['files'] {
  const paths = new Set(files.map(({ path }) => path));
  return files.filter(({ path }) => {
    const plain = path.replace(/\.(fp16|non_ema)(?=[.-])/g, '');
    return plain === path || !paths.has(plain);
  });
}

/** The files of an image model among those picked: a diffusers folder, or one checkpoint file with its tokenizer. */
export function lookFiles({ name, files }: PickedFiles): PickedFiles {
  if (files.length === 0) throw new UserError(`“${name}” is empty. Pick the folder that holds model_index.json.`);
  const has = (test: (path: string) => boolean): boolean => files.some(({ path }) => test(path));
  if (has((path) => path === 'model_index.json')) {
    const found = files.filter(({ path }) => path === 'model_index.json' || (PARTS.test(path) && WANTED.test(path)));
    for (const part of ['unet', 'vae', 'text_encoder']) {
      if (found.some(({ path }) => path.startsWith(`${part}/`) && path.endsWith('.safetensors'))) continue;
      throw new UserError(
        `“${name}” has no .safetensors file in ${part}/. Get the model in the safetensors format, with all of its folders.`,
      );
    }
    return { name, files: plainWeights(found) };
  }
  if (has((path) => path === 'config.json')) {
    throw new UserError(
      `“${name}” has a config.json and no model_index.json, so it is a chat model, or one part of an image model. Pick the folder that holds model_index.json, or a checkpoint file.`,
    );
  }
  const weights = files.filter(({ path }) => path.endsWith('.safetensors'));
  const other = files.find(({ path }) => /\.(gguf|bin|pth|pt|ckpt|onnx)$/i.test(path));
  if (weights.length === 0) {
    throw new UserError(
      other
        ? `“${other.path}” is a model in another format. Get it as a .safetensors file, or as a diffusers folder.`
        : `“${name}” is no image model: there is neither a model_index.json nor a .safetensors file in it. Pick the folder that holds one of them.`,
    );
  }
  if (weights.length > 1) {
    throw new UserError(
      `“${name}” has ${weights.length} .safetensors files and no model_index.json, so it is not clear which one is the model. Leave one of them in the folder.`,
    );
  }
  const tokenizer = files.filter(({ path }) => TOKENIZER.test(path) || path.endsWith('tokenizer_config.json'));
  const part = (end: string): boolean => tokenizer.some(({ path }) => path.endsWith(end));
  if (!part('tokenizer.json') && !(part('vocab.json') && part('merges.txt'))) {
    throw new UserError(
      `“${weights[0]!.path}” comes without the list of words that it reads. Put vocab.json and merges.txt beside it: they lie in the tokenizer folder of every Stable Diffusion model of its generation.`,
    );
  }
  // A checkpoint file is known by its own name, whatever folder it lies in.
  const stem = weights[0]!.path.replace(/^.*\//, '').replace(/\.safetensors$/, '');
  return { name: stem === 'model' ? name : stem, files: [...weights, ...tokenizer] };
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
