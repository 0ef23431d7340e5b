/**
 * A diffusers folder of Stable Diffusion 1.5's shapes with random f16 weights, 2.1 GB, a prepared batch and a job to train on it:
 *
 *   node bench/node.mjs bench/look/random-folder.ts FOLDER [PIXELS] && npm run headless -- train FOLDER/job.json --out OUT
 *
 * Its tokenizer is the embedded look's, whose few words every vocabulary of CLIP's size can hold.
 */
import { closeSync, cpSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Graph } from '../../src/engine/graph.ts';
import { elementCount } from '../../src/engine/tensor.ts';
import { parseVaeConfig } from '../../src/models/autoencoder-kl.ts';
import { parseClipTextConfig } from '../../src/models/clip-text.ts';
import { writeSafetensors } from '../../src/models/files/safetensors.ts';
import { parseUnetConfig } from '../../src/models/unet-2d-condition.ts';
import { textGraph, unetGraph, vaeWeights } from '../../src/tasks/look/graphs.ts';
import { uniform } from '../ops-work.ts';
import { CONFIGS, fileTensors, randomBytes } from './sd15.ts';

const [folder, pixels = '512'] = process.argv.slice(2);
if (folder === undefined)
  throw new Error('Say where to: node bench/node.mjs bench/look/random-folder.ts FOLDER [PIXELS]');
const json = (path: string, value: unknown): void => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

/** The header, and after it each tensor's bytes, nothing larger than a block in memory. */
function writeWeights(path: string, component: string, graph: Graph): void {
  const tensors = fileTensors(graph).map(({ name, shape }) => ({ name: name.slice(component.length + 1), shape }));
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape } of tensors) {
    const begin = end;
    end += 2 * elementCount(shape);
    header[name] = { dtype: 'F16', shape, data_offsets: [begin, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(start.length - 8), true);
  start.set(text, 8);
  const file = openSync(path, 'w');
  writeSync(file, start);
  for (const { name, shape } of tensors) {
    for (const bytes of randomBytes(name, shape)) writeSync(file, bytes);
  }
  closeSync(file);
}

const unet = parseUnetConfig(CONFIGS.unet);
const vae = parseVaeConfig(CONFIGS.vae);
const config = parseClipTextConfig(CONFIGS.text_encoder, { withProjection: false });
const options = {
  unet,
  text: [{ name: 'text_encoder', config }] as const,
  dtypeOf: () => 'f16' as const,
  maxBinding: Infinity,
};
const parts: [string, string, Graph][] = [
  ['unet', 'diffusion_pytorch_model', unetGraph(options, { images: 1, height: 8, width: 8, contextLength: 1 })],
  ['vae', 'diffusion_pytorch_model', vaeWeights({ ...options, vae }, 8)],
  ['text_encoder', 'model', textGraph(options, { images: 1, length: 2 })],
];
for (const [component, file, graph] of parts) {
  mkdirSync(join(folder, component), { recursive: true });
  json(join(folder, component, 'config.json'), CONFIGS[component as keyof typeof CONFIGS]);
  writeWeights(join(folder, component, `${file}.safetensors`), component, graph);
}
mkdirSync(join(folder, 'scheduler'), { recursive: true });
json(join(folder, 'scheduler/scheduler_config.json'), CONFIGS.scheduler);
cpSync('public/embedded/look/tokenizer', join(folder, 'tokenizer'), { recursive: true });

const side = Number(pixels) / 8;
const latent = [1, 4, side, side];
writeFileSync(
  join(folder, 'batch.safetensors'),
  writeSafetensors([
    { name: 'latents', dtype: 'F32', shape: latent, data: uniform(4 * side * side, 1) },
    { name: 'noise', dtype: 'F32', shape: latent, data: uniform(4 * side * side, 2, Math.sqrt(3)) },
    { name: 'timesteps', dtype: 'I64', shape: [1], data: Int32Array.of(400) },
    { name: 'encoder_hidden_states', dtype: 'F32', shape: [1, 77, 768], data: uniform(77 * 768, 3) },
  ]),
);
json(join(folder, 'job.json'), {
  task: 'look',
  base: '.',
  data: 'batch.safetensors',
  recipe: {
    max_steps: 3,
    per_device_train_batch_size: 1,
    gradient_accumulation_steps: 1,
    save_steps: 0,
    sample_steps: 0,
  },
});
