import type { ModelFolder } from '../models/files/folder.ts';
import type { LoraConfig } from './config.ts';
/** One adapted linear layer, row-major. */
export interface LoraTensors {
  /** [r, inFeatures] */
  A: Float32Array<ArrayBuffer>;
  /** [outFeatures, r] */
  B: Float32Array<ArrayBuffer>;
  /** DoRA's [outFeatures] */
  magnitude?: Float32Array<ArrayBuffer>;
  r: number;
  inFeatures: number;
  outFeatures: number;
}
export interface Adapter {
  config: LoraConfig;
  /** By module name, e.g. model.layers.0.self_attn.q_proj. */
  tensors: Map<string, LoraTensors>;
}
export declare function readPeftFolder(folder: ModelFolder): Promise<Adapter>;
export declare function writePeftFolder(adapter: Adapter, card?: { title?: string; description?: string }): Map<string, Uint8Array<ArrayBuffer>>;
export declare function zipFolder(files: ReadonlyMap<string, Uint8Array>): Uint8Array<ArrayBuffer>;
/** PEFT's tensor names: lora_A, lora_B -> "base_model.model.<module>.lora_A.weight"; magnitude -> "….lora_magnitude_vector". */
export declare function peftTensorName(module: string, part: 'A' | 'B' | 'magnitude'): string;
