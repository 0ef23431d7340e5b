import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';
import type { OrtRuntime } from '../../src/datasets/transformers-js.ts';

const WEB = resolve(import.meta.dirname, '../../node_modules/onnxruntime-web/dist');
const address = (name: string): string => pathToFileURL(resolve(WEB, name)).href;

/** ONNX Runtime in Node. */
export const nodeRuntime: OrtRuntime = {
  mjs: address('ort-wasm-simd-threaded.mjs'),
  wasm: address('ort-wasm-simd-threaded.wasm'),
  device: 'cpu',
};
