/**
 * Captions by an image-to-text model through transformers.js and ONNX Runtime's WebAssembly, which lies beside the page (see
 * ort-runtime.ts). The library weighs about half a megabyte and the WebAssembly 14: both are loaded here and only here,
 * when a captioner is opened. Nothing is fetched from elsewhere unless `hub` names a model.
 */
import type { ImageToTextPipeline } from '@huggingface/transformers';
import { UserError } from '../../engine/errors.ts';
import type { CaptionModel } from './captions.ts';
import { reducedSize, scaledPixels } from './resample.ts';
import type { Pixels } from './types.ts';

/** A model folder as the hub lays it out for transformers.js: config.json, tokenizer.json, onnx/encoder_model.onnx … */
export interface CaptionerFolder {
  readonly files: readonly string[];
  read(path: string): Promise<Uint8Array<ArrayBuffer>>;
}

export interface OrtRuntime {
  mjs: string;
  wasm: string;
  /** What the library calls it: `wasm` in browsers, `cpu` in Node. */
  device: 'wasm' | 'cpu';
}

export interface CaptionerOptions {
  /** A folder of the person's own, or a model of the hub by its name; the latter is the only thing that is ever downloaded. */
  model: { folder: CaptionerFolder } | { hub: string };
  /** Addresses of ONNX Runtime's module and its WebAssembly: `ortRuntime` in the page. */
  runtime: OrtRuntime;
  onProgress?: (fraction: number) => void;
}

/** Models look at 224 to 448 pixels; more would only be copied about. */
const LOOK = { shortSide: 512, longSide: 1536 };

/** Where a folder's files seem to lie: the library's fetch is our own, which answers for it and asks no server. */
const FOLDERS = '/captioner-folders/';
const HUB = 'https://huggingface.co/';
/** The library remembers what it asked of a model by its name, so each folder has another. */
let opened = 0;

const NEEDED = ['config.json', 'tokenizer.json', 'preprocessor_config.json'];

function check({ files }: CaptionerFolder): void {
  const missing = NEEDED.filter((name) => !files.includes(name));
  const graphs = files.filter((name) => /^onnx\/.+\.onnx$/.test(name));
  if (missing.length === 0 && graphs.length > 0) return;
  throw new UserError(
    `This folder holds no model that writes captions: ${[...missing, ...(graphs.length > 0 ? [] : ['onnx/*.onnx'])].join(', ')} ${missing.length + (graphs.length > 0 ? 0 : 1) === 1 ? 'is' : 'are'} missing. Choose a folder of an image-to-text model in the form for transformers.js, such as Xenova/vit-gpt2-image-captioning.`,
  );
}

/** Weights as they lie in the folder: the smallest that is there. */
function dtypeOf(files: readonly string[]): 'q8' | 'fp16' | 'fp32' {
  if (files.some((name) => name.endsWith('_quantized.onnx'))) return 'q8';
  if (files.includes('onnx/encoder_model.onnx')) return 'fp32';
  return files.some((name) => name.endsWith('_fp16.onnx')) ? 'fp16' : 'fp32';
}

/**
 * Opens a model that writes captions. One at a time: the library's settings are one for the whole worker.
 * @throws UserError where the folder holds no such model, or it cannot be fetched or run.
 */
export async function openCaptioner({ model, runtime, onProgress }: CaptionerOptions): Promise<CaptionModel> {
  if ('folder' in model) check(model.folder);
  const { env, pipeline, RawImage } = await import('@huggingface/transformers');
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
    if (!address.startsWith(HUB)) throw new UserError(`The captioner asked for ${address}, which nobody allowed.`);
    return fetch(address);
  };
  const wasm = env.backends.onnx.wasm as { wasmPaths?: unknown; numThreads?: number };
  wasm.wasmPaths = { mjs: runtime.mjs, wasm: runtime.wasm };

  let run: ImageToTextPipeline;
  try {
    run = await pipeline('image-to-text', name, {
      device: runtime.device,
      dtype: 'hub' in model ? 'q8' : dtypeOf(model.folder.files),
      ...(onProgress && {
        progress_callback: (event) => {
          if (event.status === 'progress_total') onProgress(event.progress / 100);
        },
      }),
    });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(
      'hub' in model
        ? `The model ${model.hub} could not be fetched or opened (${why}).`
        : `The model in this folder could not be opened (${why}).`,
      { cause: error },
    );
  }
  return {
    async describe(pixels: Pixels) {
      const [width, height] = reducedSize(pixels.width, pixels.height, LOOK);
      const small = width === pixels.width && height === pixels.height ? pixels : scaledPixels(pixels, width, height);
      const image = new RawImage(small.data, width, height, 4).rgb();
      const [said] = (await run(image)) as { generated_text: string }[];
      return said?.generated_text.trim() ?? '';
    },
    async close() {
      await run.dispose();
    },
  };
}
