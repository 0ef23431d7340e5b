// node tools/with-gpu.mjs SCRIPT [ARGUMENT...]: runs a Node script with the first Vulkan driver that gives a WebGPU adapter.
import { fileURLToPath } from 'node:url';
import { gpuChoices, NO_ADAPTER_SENTENCE, runProcess } from './gpu-env.mjs';

const probe = fileURLToPath(new URL('probe-gpu.mjs', import.meta.url));
const args = process.argv.slice(2);
if (args.length === 0) {
  console.error('Say what to run: node tools/with-gpu.mjs SCRIPT [ARGUMENT...]');
  process.exit(1);
}
for (const choice of gpuChoices()) {
  const quiet = await runProcess(choice.node, [probe], { env: choice.env, stdio: 'ignore' });
  if (quiet === 0) process.exit(await runProcess(choice.node, args, { env: choice.env }));
}
console.error(NO_ADAPTER_SENTENCE);
process.exit(1);
