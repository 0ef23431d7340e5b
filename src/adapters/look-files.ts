import { UserError } from '../common/errors.ts';
import { decodeFloats, decodeIntegers } from '../models/files/dtypes.ts';
import type { ModelFolder } from '../models/files/folder.ts';
import { quoteValue } from '../common/json.ts';
import { parseSafetensors } from '../models/files/safetensors.ts';
import type { SafetensorsHeader, TensorEntry } from '../models/files/safetensors.ts';
import { cloneofsimoModules, isCloneofsimo } from './cloneofsimo-lora.ts';
import {
  DIFFUSERS_FILE,
  alphaFromConfig,
  componentConfigs,
  moduleOfDiffusersName,
  splitEnding,
} from './diffusers-lora.ts';
import type { FilePart } from './diffusers-lora.ts';
import { LOOK_COMPONENTS, moduleOfKohyaName, splitComponent } from './kohya-names.ts';
import { refuseOtherKinds } from './look-refusals.ts';
import { adapterOf } from './look-config.ts';
import type { ScaledTensors } from './look-config.ts';
import { readPeftFolder } from './peft.ts';
import type { Adapter, LoraTensors } from './peft.ts';
import { kernelArea, loraScale } from './targets.ts';

export interface LookAdapter extends Adapter {
  kind: 'kohya' | 'diffusers' | 'peft' | 'cloneofsimo';
  /** Sentences on what of the file is not used. */
  notes: string[];
  /** The file's own, untrusted: ss_tag_frequency, modelspec.trigger_phrase and their like. */
  metadata: Readonly<Record<string, string>>;
}

export interface LookReading {
  /** ResNet blocks of a level of the UNet, for names in Stability's own spelling; default 2, as in every known base. */
  layersPerBlock?: number;
}

/**
 * Reads an image LoRA: kohya's files, those of diffusers (new and old names), of ComfyUI's native paths and of the first
 * trainer (cloneofsimo), and PEFT's folders. `file` is a path inside the folder; without it the folder must hold one
 * adapter. Module names of the result begin with the component (unet., text_encoder., text_encoder_2.). Throws UserError
 * naming the tensor that is not understood, or the kind of adapter that is not supported.
 */
export async function readLookAdapter(
  folder: ModelFolder,
  file?: string,
  { layersPerBlock }: LookReading = {},
): Promise<LookAdapter> {
  const path = file ?? chooseFile(folder);
  if (path === null || path.endsWith('adapter_config.json') || path.endsWith('adapter_model.safetensors')) {
    return readPeft(folder, path);
  }
  if (!folder.files.includes(path)) throw new UserError(`“${folder.name}” has no file ${path}.`);
  if (!/\.safetensors$/i.test(path)) throw notSafetensors(path);
  const header = await parseSafetensors(folder, path);
  const source = `“${path.split('/').at(-1)}”`;
  if (header.tensors.size === 0) throw new UserError(`${source} holds no tensors.`);
  if (isCloneofsimo(header)) return readCloneofsimo(folder, header, source);
  refuseOtherKinds([...header.tensors.keys()], source);
  return readNamed(folder, header, source, layersPerBlock);
}

function notSafetensors(path: string): UserError {
  return new UserError(
    /\.(bin|ckpt|pt|pth)$/i.test(path)
      ? `${path} may run code when opened and is not read here. Convert it to .safetensors with the tool that made it.`
      : `${path} is not a .safetensors file, so it is no adapter that can be read here.`,
  );
}

/** The one adapter of a folder; null: PEFT's. */
function chooseFile(folder: ModelFolder): string | null {
  if (folder.files.some((path) => path === 'adapter_config.json' || path.endsWith('/adapter_config.json'))) return null;
  if (folder.files.includes(DIFFUSERS_FILE)) return DIFFUSERS_FILE;
  const files = folder.files.filter((path) => /\.safetensors$/i.test(path));
  if (files.length === 1) return files[0]!;
  if (files.length === 0) {
    const other = folder.files.find((path) => /\.(bin|ckpt|pt|pth)$/i.test(path));
    if (other !== undefined) throw notSafetensors(other);
    throw new UserError(`“${folder.name}” holds no adapter: there is no .safetensors file in it.`);
  }
  throw new UserError(
    `“${folder.name}” holds several files (${files.slice(0, 3).join(', ')}${files.length > 3 ? ', …' : ''}). Choose one.`,
  );
}

const size = (entry: TensorEntry): string => `[${entry.shape.join(', ')}]`;

async function floats(folder: ModelFolder, entry: TensorEntry, source: string): Promise<Float32Array<ArrayBuffer>> {
  const what = `Tensor ${quoteValue(entry.name)} of ${source}`;
  const values = decodeFloats(await folder.read(entry.file, entry.begin, entry.end), entry.dtype, what);
  if (!values.every(Number.isFinite)) throw new UserError(`${what} holds values that are not finite.`);
  return values;
}

/** A and B of one module, their shapes checked against each other. */
async function readPair(
  folder: ModelFolder,
  module: string,
  { A, B }: { A: TensorEntry; B: TensorEntry },
  source: string,
): Promise<LoraTensors> {
  const [r, inFeatures, ...pixels] = A.shape as [number, number, ...number[]];
  const [outFeatures, rankOfB, ...one] = B.shape as [number, number, ...number[]];
  const fits =
    (A.shape.length === 2 || A.shape.length === 4) &&
    (B.shape.length === 2 || B.shape.length === 4) &&
    r === rankOfB &&
    one.every((side) => side === 1) &&
    // A convolution's B may be written as a matrix, a linear layer's never as a larger convolution.
    (A.shape.length === 4 || B.shape.length === 2) &&
    [...A.shape, ...B.shape].every((side) => side > 0);
  if (!fits) {
    throw new UserError(
      `${source} is not sound: ${quoteValue(module)} has a first matrix of shape ${size(A)} and a second of ${size(B)}, which do not belong together.`,
    );
  }
  return {
    A: await floats(folder, A, source),
    B: await floats(folder, B, source),
    r,
    inFeatures,
    outFeatures,
    ...(pixels.length === 2 && { kernel: pixels as unknown as readonly [number, number] }),
  };
}

type Parts = Partial<Record<FilePart, TensorEntry>>;

/** Files that name their modules: kohya's, diffusers', ComfyUI's. */
async function readNamed(
  folder: ModelFolder,
  header: SafetensorsHeader,
  source: string,
  layersPerBlock: number | undefined,
): Promise<LookAdapter> {
  const { found, kind, notes } = sortTensors(header, source, layersPerBlock);
  const configs = componentConfigs(header.metadata, source);
  const modules = new Map<string, ScaledTensors>();
  for (const [module, parts] of found) {
    const { A, B } = parts;
    if (!A || !B) {
      const [has, lacks] = A ? ['first', 'second'] : ['second', 'first'];
      throw new UserError(
        `${source} is not sound: ${quoteValue(module)} has ${(A ?? B) ? `the ${has} matrix but not the ${lacks}` : 'neither of the two matrices'}.`,
      );
    }
    const tensors = await readPair(folder, module, { A, B }, source);
    const magnitude = parts.magnitude ?? parts.dora_scale;
    if (magnitude) tensors.magnitude = await readMagnitude(folder, module, magnitude, tensors, source);
    const config = configs.get(splitComponent(module).component) ?? configs.get(null);
    let alpha = config ? alphaFromConfig(config, module, tensors.r, source) : tensors.r;
    if (parts.alpha) alpha = await readAlpha(folder, module, parts.alpha, tensors.r, source);
    modules.set(module, { tensors, alpha });
  }
  refuseMixedDora(modules, source);
  return { ...adapterOf(modules, source), kind, notes, metadata: header.metadata };
}

async function readAlpha(
  folder: ModelFolder,
  module: string,
  entry: TensorEntry,
  r: number,
  source: string,
): Promise<number> {
  const isInteger = entry.dtype === 'I64' || entry.dtype === 'I32';
  const values = isInteger
    ? decodeIntegers(
        await folder.read(entry.file, entry.begin, entry.end),
        entry.dtype,
        `Tensor ${quoteValue(entry.name)}`,
      )
    : await floats(folder, entry, source);
  if (values.length !== 1)
    throw new UserError(`${source} is not sound: alpha of ${quoteValue(module)} has the shape ${size(entry)}.`);
  // kohya takes 0 for “as the rank”.
  return values[0]! === 0 ? r : values[0]!;
}

function sortTensors(
  header: SafetensorsHeader,
  source: string,
  layersPerBlock: number | undefined,
): { found: Map<string, Parts>; kind: 'kohya' | 'diffusers'; notes: string[] } {
  const found = new Map<string, Parts>();
  let kohya = 0;
  const words = new Set<string>();
  const unknown: string[] = [];
  for (const entry of header.tensors.values()) {
    const word = /^bundle_emb\.(.+?)\./.exec(entry.name);
    if (word) {
      words.add(word[1]!);
      continue;
    }
    const ending = splitEnding(entry.name);
    const isKohya = entry.name.startsWith('lora_');
    const name = ending && (isKohya ? moduleOfKohyaName : moduleOfDiffusersName)(ending.owner, layersPerBlock);
    // kohya's own names end the owner before the first dot; diffusers' old names carry to_q_lora.
    if (!ending || name === undefined) {
      unknown.push(entry.name);
      continue;
    }
    if (isKohya) kohya++;
    const parts = found.get(name) ?? {};
    if (parts[ending.part])
      throw new UserError(
        `${source} holds the same part of ${quoteValue(name)} twice, once as ${quoteValue(entry.name)}.`,
      );
    parts[ending.part] = entry;
    found.set(name, parts);
  }
  if (unknown.length > 0) {
    throw new UserError(
      `${source} holds ${unknown.length === 1 ? 'a tensor' : `${unknown.length} tensors`} that belong to no known layer of Stable Diffusion, such as ${quoteValue(unknown[0])}. It may be for another kind of model.`,
    );
  }
  return { found, kind: kohya > 0 ? 'kohya' : 'diffusers', notes: wordNotes([...words]) };
}

function wordNotes(words: readonly string[]): string[] {
  if (words.length === 0) return [];
  const list = words.map((word) => quoteValue(word)).join(', ');
  return [
    `The file also holds trained words (${list}), which are not supported: prompts with them mean nothing here, and the look may be weaker for it.`,
  ];
}

/** DoRA's magnitude per output. */
async function readMagnitude(
  folder: ModelFolder,
  module: string,
  entry: TensorEntry,
  tensors: LoraTensors,
  source: string,
): Promise<Float32Array<ArrayBuffer>> {
  if (kernelArea(tensors) > 1) {
    throw new UserError(
      `${source} is a DoRA (its tensor ${quoteValue(entry.name)} says so) on convolutions, which is not supported. Plain LoRA is.`,
    );
  }
  const values = await floats(folder, entry, source);
  const sides = entry.shape.filter((side) => side !== 1);
  const perOutput =
    values.length === tensors.outFeatures &&
    sides.length < 2 &&
    (entry.name.endsWith('dora_scale') ? entry.shape[0] === tensors.outFeatures : true);
  if (!perOutput) {
    throw new UserError(
      `${source} is a DoRA whose size of ${quoteValue(module)} has the shape ${size(entry)}: only one size for each of its ${tensors.outFeatures} outputs is supported.`,
    );
  }
  return values;
}

function refuseMixedDora(modules: ReadonlyMap<string, ScaledTensors>, source: string): void {
  const all = [...modules];
  const without = all.find(([, { tensors }]) => !tensors.magnitude);
  const withIt = all.find(([, { tensors }]) => tensors.magnitude);
  if (without && withIt) {
    throw new UserError(
      `${source} is a DoRA in ${quoteValue(withIt[0])} and not in ${quoteValue(without[0])}. That mixture is not supported.`,
    );
  }
}

async function readCloneofsimo(folder: ModelFolder, header: SafetensorsHeader, source: string): Promise<LookAdapter> {
  const { modules: entries, words } = cloneofsimoModules(header, source);
  const modules = new Map<string, ScaledTensors>();
  for (const [module, pair] of entries) {
    const tensors = await readPair(folder, module, pair, source);
    modules.set(module, { tensors, alpha: tensors.r });
  }
  return { ...adapterOf(modules, source), kind: 'cloneofsimo', notes: wordNotes(words), metadata: header.metadata };
}

/** Folders of PEFT: one for the UNet or a text encoder, or one for each under the component's name. */
async function readPeft(folder: ModelFolder, path: string | null): Promise<LookAdapter> {
  const configs = folder.files.filter((name) => /(^|\/)adapter_config\.json$/.test(name));
  const prefixes =
    path === null ? configs.map((name) => name.slice(0, -'adapter_config.json'.length)) : [path.replace(/[^/]*$/, '')];
  const componentOf = (prefix: string) =>
    LOOK_COMPONENTS.find((name) => prefix === `${name}/` || prefix.endsWith(`/${name}/`));
  if (prefixes.length > 1 && new Set(prefixes.map(componentOf)).size !== prefixes.length) {
    throw new UserError(`“${folder.name}” holds several adapters. Choose the folder of one.`);
  }
  const source = `The adapter “${folder.name}”`;
  const modules = new Map<string, ScaledTensors>();
  let base: string | null = null;
  let dropout = 0;
  for (const prefix of prefixes) {
    const adapter = await readPeftFolder(folder, { convolutions: true, prefix });
    const component = componentOf(prefix);
    base = adapter.config.base_model_name_or_path ?? base;
    dropout = Math.max(dropout, adapter.config.lora_dropout);
    for (const [name, tensors] of adapter.tensors) {
      const known = LOOK_COMPONENTS.some((each) => name.startsWith(`${each}.`));
      const module = moduleOfDiffusersName(component === undefined || known ? name : `${component}.${name}`);
      if (module === undefined) {
        throw new UserError(
          `${source} is for a layer ${quoteValue(name)}, which is none of Stable Diffusion's. It was made for another kind of model.`,
        );
      }
      modules.set(module, { tensors, alpha: loraScale(adapter.config, name).scale * tensors.r });
    }
  }
  refuseMixedDora(modules, source);
  const adapter = adapterOf(modules, source, { base_model_name_or_path: base, lora_dropout: dropout });
  return { ...adapter, kind: 'peft', notes: [], metadata: {} };
}
