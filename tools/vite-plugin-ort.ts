import { resolve } from 'node:path';
import type { Plugin } from 'vite';

/**
 * Lets transformers.js use ONNX Runtime's smallest build, WebAssembly without WebGPU: 14 MB in place of 27, and no code that
 * brings its own copy along. The engine has the graphics card for itself.
 */
export function ort(): Plugin {
  const build = resolve(import.meta.dirname, '../node_modules/onnxruntime-web/dist/ort.wasm.min.mjs');
  return {
    name: 'athanor-ort',
    config: () => ({ resolve: { alias: [{ find: /^onnxruntime-web\/webgpu$/, replacement: build }] } }),
  };
}
