/**
 * FOLDER/base, a diffusers folder of Stable Diffusion 1.5's shapes with random f16 weights, 2.1 GB, a prepared batch and a job to train on it:
 *
 *   node bench/node.mjs bench/look/random-folder.ts FOLDER [PIXELS] && npm run headless -- train FOLDER/job.json --out OUT
 *
 * Its tokenizer is the embedded look's, whose few words every vocabulary of CLIP's size can hold.
 */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Graph } from '../../src/engine/graph.ts';
import { writeSafetensors } from '../../src/models/files/safetensors.ts';
import { conditionsGraph, predictionGraph } from '../../src/tasks/denoising/graphs.ts';
import { autoencoderWeights } from '../../src/tasks/look/autoencoder-graphs.ts';
import { uniform } from '../ops-work.ts';
import { writeRandomWeights } from '../random-weights.ts';
import { MODEL } from './parts.ts';
import { CONFIGS, fileTensors } from './sd15.ts';

const [folder, pixels = '512'] = process.argv.slice(2);
if (folder === undefined)
  throw new Error('Say where to: node bench/node.mjs bench/look/random-folder.ts FOLDER [PIXELS]');
// A checkpoint beside the folders would be taken for the model: the batch lies one level up.
const base = join(folder, 'base');
const json = (path: string, value: unknown): void => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

const options = { ...MODEL, dtypeOf: () => 'f16' as const, maxBinding: Infinity };
const shape = { rows: 1, ...MODEL.denoiser.smallest };
const parts: [string, string, Graph][] = [
  ['unet', 'diffusion_pytorch_model', predictionGraph(options, shape)],
  ['vae', 'diffusion_pytorch_model', autoencoderWeights(options)],
  ['text_encoder', 'model', conditionsGraph(options, shape)],
];
for (const [component, file, graph] of parts) {
  mkdirSync(join(base, component), { recursive: true });
  json(join(base, component, 'config.json'), CONFIGS[component as keyof typeof CONFIGS]);
  const tensors = fileTensors(graph).map(({ name, shape }) => ({ name: name.slice(component.length + 1), shape }));
  writeRandomWeights(join(base, component, `${file}.safetensors`), tensors);
}
mkdirSync(join(base, 'scheduler'), { recursive: true });
json(join(base, 'scheduler/scheduler_config.json'), CONFIGS.scheduler);
cpSync('public/embedded/look/tokenizer', join(base, 'tokenizer'), { recursive: true });

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
  base: 'base',
  data: 'batch.safetensors',
  recipe: {
    max_steps: 3,
    per_device_train_batch_size: 1,
    gradient_accumulation_steps: 1,
    save_steps: 0,
    sample_steps: 0,
  },
});
