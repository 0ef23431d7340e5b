/**
 * transformers.js with its models: from a folder of the person's own, or from the hub by name. Library (half a megabyte) and
 * ONNX Runtime's WebAssembly (14), which lies beside the page (see ort-runtime.ts), are loaded here and only here, when
 * a model is opened. Nothing is fetched from elsewhere unless `hub` names a model.
 */
import type * as transformers from '@huggingface/transformers';
import { UserError } from '../common/errors.ts';

/** A model folder as the hub lays it out for transformers.js: config.json, tokenizer.json, onnx/model.onnx … */
export interface OnnxFolder {
  readonly files: readonly string[];
  read(path: string): Promise<Uint8Array<ArrayBuffer>>;
}

export interface OrtRuntime {
  mjs: string;
  wasm: string;
  /** What the library calls it: `wasm` in browsers, `cpu` in Node. */
  device: 'wasm' | 'cpu';
}

export interface OnnxModelOptions {
  /** A folder of the person's own, or a model of the hub by its name; the latter is the only thing that is ever downloaded. */
  model: { folder: OnnxFolder } | { hub: string };
  /** Addresses of ONNX Runtime's module and its WebAssembly: `ortRuntime` in the page. */
  runtime: OrtRuntime;
  onProgress?: (fraction: number) => void;
}

/** Where a folder's files seem to lie: the library's fetch is our own, which answers for it and asks no server. */
const FOLDERS = '/onnx-folders/';
const HUB = 'https://huggingface.co/';
/** The library remembers what it asked of a model by its name, so each folder has another. */
let opened = 0;

type Library = typeof transformers;

/** What a pipeline is made with. */
export interface OnnxPipelineOptions {
  device: 'wasm' | 'cpu';
  dtype: 'q8' | 'fp16' | 'fp32';
  progress_callback?: (event: { status: string; progress?: number }) => void;
}

/** Weights as they lie in the folder: the smallest that is there. */
function dtypeOf(files: readonly string[]): 'q8' | 'fp16' | 'fp32' {
  if (files.some((name) => name.endsWith('_quantized.onnx'))) return 'q8';
  if (files.some((name) => /^onnx\/[a-z_]*model\.onnx$/.test(name))) return 'fp32';
  return files.some((name) => name.endsWith('_fp16.onnx')) ? 'fp16' : 'fp32';
}

/** Without the tokenizer's own settings the library would open the model and leave its tokenizer out. */
const NEEDED = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'preprocessor_config.json'];

/**
 * @param does what the model is for, as in “a model that writes captions”; @param advice which model to choose
 * @throws UserError where files are missing that every model has
 */
export function checkOnnxFolder({ files }: OnnxFolder, does: string, advice: string): void {
  const missing = NEEDED.filter((name) => !files.includes(name));
  if (!files.some((name) => /^onnx\/.+\.onnx$/.test(name))) missing.push('onnx/*.onnx');
  if (missing.length === 0) return;
  throw new UserError(
    `This folder holds no model that ${does}: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing. ${advice}`,
  );
}

/**
 * Loads the library and opens a model with it. One at a time: the library's settings are one for the whole worker.
 * @param open makes the pipeline
 * @throws UserError where the model cannot be fetched or run.
 */
export async function openOnnxModel<P>(
  { model, runtime, onProgress }: OnnxModelOptions,
  open: (library: Library, name: string, options: OnnxPipelineOptions) => Promise<P>,
): Promise<{ library: Library; pipeline: P }> {
  const library = await import('@huggingface/transformers');
  const { env } = library;
  const name = 'hub' in model ? model.hub : `folder-${++opened}`;
  const folder = 'folder' in model ? model.folder : null;
  /** A file of the folder as if a server had sent it. */
  const answer = async (address: string): Promise<Response | undefined> => {
    const prefix = `${FOLDERS}${name}/`;
    const path = address.startsWith(prefix) ? decodeURIComponent(address.slice(prefix.length)) : '';
    if (!folder?.files.includes(path)) return undefined;
    const bytes = await folder.read(path);
    return new Response(bytes, { headers: { 'content-length': String(bytes.length) } });
  };
  env.allowLocalModels = folder !== null;
  env.allowRemoteModels = folder === null;
  env.localModelPath = FOLDERS;
  env.remoteHost = folder ? FOLDERS : HUB;
  env.remotePathTemplate = folder ? '{model}/' : '{model}/resolve/{revision}/';
  env.useFS = false;
  env.useFSCache = false;
  env.useBrowserCache = folder === null && 'caches' in globalThis;
  // The module must be loaded under its own address: the page's policy forbids code from blobs.
  env.useWasmCache = false;
  env.useCustomCache = folder !== null;
  env.customCache = folder && { match: answer, put: () => Promise.resolve() };
  env.fetch = async (input: unknown) => {
    const address = String(input instanceof Request ? input.url : input);
    if (folder) return (await answer(address)) ?? new Response(null, { status: 404 });
    if (!address.startsWith(HUB)) throw new UserError(`The model asked for ${address}, which nobody allowed.`);
    return fetch(address);
  };
  const wasm = env.backends.onnx.wasm as { wasmPaths?: unknown; numThreads?: number };
  wasm.wasmPaths = { mjs: runtime.mjs, wasm: runtime.wasm };
  try {
    const pipeline = await open(library, name, {
      device: runtime.device,
      dtype: folder ? dtypeOf(folder.files) : 'q8',
      ...(onProgress && {
        progress_callback: (event) => {
          if (event.status === 'progress_total') onProgress((event.progress ?? 0) / 100);
        },
      }),
    });
    return { library, pipeline };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(
      'hub' in model
        ? `The model ${model.hub} could not be fetched or opened (${why}).`
        : `The model in this folder could not be opened (${why}).`,
      { cause: error },
    );
  }
}
