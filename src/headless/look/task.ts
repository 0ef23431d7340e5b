import { DIFFUSERS_FILE, lookTensorData, writeDiffusersLora } from '../../adapters/diffusers-lora.ts';
import { writeKohyaLora } from '../../adapters/kohya-lora.ts';
import { bucketOptions } from '../../datasets/look/buckets.ts';
import { importPictures, pictureToLine } from '../../datasets/look/import-pictures.ts';
import { encodePng } from '../../datasets/look/png.ts';
import type { PictureRow, Pixels } from '../../datasets/look/types.ts';
import { UserError } from '../../common/errors.ts';
import { decodeFloats } from '../../models/files/dtypes.ts';
import { parseSafetensors } from '../../models/files/safetensors.ts';
import type { LookModel } from '../../tasks/look/model.ts';
import type { LookLearningData } from '../../tasks/look/model.ts';
import { runComponent } from '../../tasks/look/component.ts';
import { readPreparedRows } from '../../tasks/look/prepared.ts';
import type { DrawRequest, PictureSource, SchedulerName } from '../../tasks/look/types.ts';
import { folderOf } from '../files.ts';
import type { Job } from '../job.ts';
import { optionalNumbers } from '../job.ts';
import { nodePictureDecoder, pictureSourceFiles } from './pictures.ts';
import type { HeadlessKind } from '../kind.ts';

/** The pictures of a folder, cut and judged as dropping them on the page does; their pixels stay in memory. */
async function picturesOf(path: string, resolution: number): Promise<PictureSource[]> {
  const kept = new Map<string, { picture: Uint8Array<ArrayBuffer>; mask: Uint8Array<ArrayBuffer> | null }>();
  const { rows } = await importPictures(pictureSourceFiles([path]), nodePictureDecoder, {
    buckets: bucketOptions(resolution),
    keep: (row, { picture, mask }) => void kept.set(row.id, { picture, mask }),
  });
  const pixels = async (bytes: Uint8Array<ArrayBuffer>): Promise<Pixels> => {
    const { default: sharp } = await import('sharp');
    const { data, info } = await sharp(bytes).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data: new Uint8Array(data) };
  };
  return rows.map((row: PictureRow) => ({
    row,
    pixels: () => pixels(kept.get(row.id)!.picture),
    async mask() {
      const mask = kept.get(row.id)!.mask;
      return mask && pixels(mask);
    },
  }));
}

async function readLatents(path: string): Promise<Float32Array> {
  const { folder, file } = folderOf(path);
  const entry = (await parseSafetensors(folder, file)).tensors.get('latents');
  if (entry?.shape.length !== 4) throw new UserError(`${file} has no tensor latents of the shape [N, 4, h, w].`);
  return decodeFloats(await folder.read(file, entry.begin, entry.end), entry.dtype, 'latents');
}

/** A job's `generate` block as a request; diffusers' defaults where it says nothing. */
async function drawRequest(job: Job): Promise<DrawRequest> {
  const block = job.generate;
  const numbers = optionalNumbers(block, [
    'num_inference_steps',
    'guidance_scale',
    'width',
    'height',
    'num_images',
    'seed',
  ]);
  const texts = Object.fromEntries(
    ['prompt', 'negative_prompt', 'scheduler', 'latents'].flatMap((name) => {
      const value = block[name];
      if (value === undefined || value === null) return [];
      if (typeof value !== 'string') throw new UserError(`generate.${name} must be text.`);
      return [[name, value]];
    }),
  ) as { prompt?: string; negative_prompt?: string; scheduler?: string; latents?: string };
  const { prompt, scheduler, latents, ...rest } = texts;
  if (prompt === undefined) throw new UserError('generate.prompt is missing: the words to draw.');
  return {
    prompt,
    ...rest,
    num_inference_steps: numbers.num_inference_steps ?? 50,
    guidance_scale: numbers.guidance_scale ?? 7.5,
    ...numbers,
    ...(scheduler !== undefined && { scheduler: scheduler as SchedulerName }),
    ...(block['use_karras_sigmas'] === true && { use_karras_sigmas: true }),
    ...(latents !== undefined && { latents: await readLatents(job.at(latents)) }),
  };
}

/** Stable Diffusion 1.5's sizes: what a look's base is where none is named. */
const IMPORT_RESOLUTION = 512;

export const headlessLook: HeadlessKind<LookModel, LookLearningData> = {
  prepared: async (model, folder, file, { recipe }) => ({
    prepared: await readPreparedRows(model.base, folder, file, recipe),
  }),
  imported: async (model, path, { recipe }) => ({ pictures: await picturesOf(path, model.resolution(recipe)) }),
  named: lookTensorData,
  async adapterFiles(model) {
    const adapter = await model.currentAdapter();
    const files: [string, Uint8Array][] = [[DIFFUSERS_FILE, writeDiffusersLora(adapter)]];
    // Tools that read kohya's format compute DoRA each in their own way, so none is written.
    if (!adapter.config.use_dora) {
      files.push(['kohya.safetensors', await writeKohyaLora(adapter, model.info.family, model.kohyaOptions)]);
    }
    return files;
  },
  runComponent,
  async generate(model, job) {
    const request = await drawRequest(job);
    const files: [string, Uint8Array | string][] = [];
    for await (const event of model.generate(request)) {
      if (event.type === 'image') files.push([`${event.image}.png`, encodePng(event.pixels)]);
    }
    const { latents: _, ...settings } = request;
    const printed = { ...model.completeRequest(settings), images: files.map(([name]) => name) };
    files.push(['generated.json', `${JSON.stringify(printed, null, 2)}\n`]);
    return { files, printed };
  },
  async importFiles(paths) {
    const { rows, report } = await importPictures(pictureSourceFiles(paths), nodePictureDecoder, {
      buckets: bucketOptions(IMPORT_RESOLUTION),
    });
    return { report, files: [['pictures.jsonl', rows.map((row) => `${pictureToLine(row)}\n`).join('')]] };
  },
};
