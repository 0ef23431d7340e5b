// The build lays both beside the page; the page's policy allows nothing else, and no other server hears of it.
import mjs from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import type { OrtRuntime } from './transformers-js.ts';

const absolute = (address: string): string => new URL(address, import.meta.url).href;

export const ortRuntime: OrtRuntime = { mjs: absolute(mjs), wasm: absolute(wasm), device: 'wasm' };
