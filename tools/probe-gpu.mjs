// Ends with 0 where Node gets a WebGPU adapter in this environment, else with NO_ADAPTER_STATUS. With --print, says which.
import { create, globals } from 'webgpu';
import { NO_ADAPTER_STATUS } from './gpu-env.mjs';

Object.assign(globalThis, globals);
const gpu = create([]);
const adapter = await gpu.requestAdapter();
if (adapter && process.argv.includes('--print')) {
  const { vendor, architecture, description } = adapter.info;
  console.log([vendor, architecture, description].filter(Boolean).join(', '));
}
process.exit(adapter ? 0 : NO_ADAPTER_STATUS);
