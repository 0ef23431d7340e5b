// node bench/node.mjs bench/look/blocks.ts [WORD…]: bundles a benchmark and runs it in Node on the GPU (tools/with-gpu.mjs).
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { runWithGpu } from '../tools/gpu-env.mjs';
import { esbuildShaders } from '../tools/shaders.mjs';

const root = join(fileURLToPath(import.meta.url), '../..');
const [entry, ...words] = process.argv.slice(2);
if (entry === undefined) throw new Error('Say what to run: node bench/node.mjs bench/look/blocks.ts [WORD…]');
const outfile = join(root, '.cache/bench', basename(entry).replace(/\.ts$/, '.mjs'));
await build({
  entryPoints: [entry],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  logLevel: 'error',
  plugins: [esbuildShaders()],
  packages: 'external',
  define: { 'import.meta.env.DEV': 'false', 'import.meta.env.PROD': 'true' },
});
process.exit(await runWithGpu([outfile, ...words]));
