import { expect } from 'vitest';
import type { Adapter } from '../../src/adapters/peft.ts';
import { loraScale } from '../../src/adapters/targets.ts';
import { MemoryFolder } from '../../src/models/files/folder.ts';
import { SD15, SDXL, textModuleList, unetModuleList } from '../support/look-modules.ts';

export const TINY = { ...SD15, channels: [8, 12], depths: [1, 0], context: 10 };
export const TINY_XL = { ...SDXL, channels: [8, 12, 16], depths: [0, 1, 2], midDepth: 2, context: 10 };
export const modules = [...unetModuleList(TINY), ...textModuleList('text_encoder', 2, 6)];
export const modulesXL = [
  ...unetModuleList(TINY_XL),
  ...textModuleList('text_encoder', 2, 6),
  ...textModuleList('text_encoder_2', 1, 8),
];
export const ATTENTION = ['to_q', 'to_k', 'to_v', 'to_out.0', 'proj_in', 'proj_out', 'ff.net.0.proj', 'ff.net.2'];
export const ALL = [...ATTENTION, 'conv1', 'conv2', 'conv_shortcut', 'time_emb_proj', 'conv', 'q_proj', 'fc1'];

export const folderOf = (bytes: Uint8Array<ArrayBuffer>, name = 'a.safetensors'): MemoryFolder =>
  new MemoryFolder('mine', new Map([[name, bytes]]));

/** The same matrices and the same scale of every module; how a configuration says it may differ. */
export function expectSame(read: Adapter, written: Adapter): void {
  expect([...read.tensors.keys()].sort()).toEqual([...written.tensors.keys()].sort());
  for (const [module, tensors] of written.tensors) {
    expect(read.tensors.get(module), module).toEqual(tensors);
    expect(loraScale(read.config, module).scale, module).toBeCloseTo(loraScale(written.config, module).scale, 6);
    expect(loraScale(read.config, module).r, module).toBe(tensors.r);
  }
}
