import type { LoraConfig } from '../../adapters/lora-config.ts';
import type { LookFamily } from '../../adapters/look-families.ts';
import { UserError } from '../../common/errors.ts';
import { quoteValue } from '../../common/json.ts';
import type { Prediction } from '../../models/schedulers/process.ts';
import type { Recipe } from '../../training/recipe.ts';
import { oneLine, slug } from '../bundle-words.ts';
import { datasetToml, promptFile, readme, skyYaml, trainScript } from './bundle-text.ts';

/** A picture as it is to be learnt: cropped, of any size. */
export interface BundlePicture {
  /** Name of the file that it came from: shown to people, never a path. */
  file: string;
  /** PNG, JPEG, WebP or BMP. */
  bytes: Uint8Array;
  caption: string;
  /** Times it is seen an epoch; default 1. */
  repeats?: number;
  /** A grey PNG of the picture's own size, white where it is learnt. */
  mask?: Uint8Array;
}

export interface BundleBase {
  family: LookFamily;
  /** What it is called. */
  name: string;
  /** Its repository on the model hub, where it is known; null: whoever runs the bundle has to say. */
  repository: string | null;
  predictionType: Prediction;
  /** Pixels a side that it was trained for. */
  resolution: number;
  /** Its scheduler's rescale_betas_zero_snr. */
  zeroTerminalSnr?: boolean;
}

export interface BundlePrompt {
  prompt: string;
  negative_prompt?: string;
  width?: number;
  height?: number;
  seed?: number;
}

export interface BundleOptions {
  /** Name of the look. */
  name: string;
  pictures: readonly BundlePicture[];
  /** For prior preservation: drawn by the base from the recipe's class_prompt. */
  classPictures?: readonly { file: string; bytes: Uint8Array }[];
  recipe: Recipe;
  lora: LoraConfig;
  base: BundleBase;
  prompts: readonly BundlePrompt[];
  triggerWord: string;
  /** Optimiser steps of the whole run. */
  steps: number;
  /** Whole warm-up steps. */
  warmupSteps: number;
  /** A kohya file to go on from: its layers, ranks and alphas count, and the run starts where it ended. */
  weights?: Uint8Array;
}

/** A folder of pictures in the bundle that share their repeats. */
export interface BundleFolder {
  path: string;
  masks?: string;
  repeats: number;
  count: number;
  isClass?: boolean;
}

const ENDINGS: readonly (readonly [ending: string, matches: (bytes: Uint8Array) => boolean])[] = [
  ['png', (bytes) => startsWith(bytes, [0x89, 0x50, 0x4e, 0x47])],
  ['jpg', (bytes) => startsWith(bytes, [0xff, 0xd8, 0xff])],
  [
    'webp',
    (bytes) => startsWith(bytes, [0x52, 0x49, 0x46, 0x46]) && startsWith(bytes.subarray(8), [0x57, 0x45, 0x42, 0x50]),
  ],
  ['bmp', (bytes) => startsWith(bytes, [0x42, 0x4d])],
];

function startsWith(bytes: Uint8Array, start: readonly number[]): boolean {
  return start.every((byte, i) => bytes[i] === byte);
}

const encoder = new TextEncoder();
/** Even without words it is a line: sd-scripts refuses an empty caption file. */
const captionFile = (caption: string): Uint8Array<ArrayBuffer> => encoder.encode(`${oneLine(caption)}\n`);

function copied(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

/** 001-name.png: a number keeps names apart, the ending is what the bytes are. */
function pictureName(file: string, bytes: Uint8Array, number: number): { stem: string; name: string } {
  const ending = ENDINGS.find(([, matches]) => matches(bytes))?.[0];
  if (ending === undefined) {
    throw new UserError(
      `${quoteValue(file)} is not a PNG, JPEG, WebP or BMP picture, so sd-scripts could not read it.`,
    );
  }
  const stem = `${String(number).padStart(3, '0')}-${slug(file.replace(/\.[A-Za-z0-9]+$/, ''), 'picture')}`;
  return { stem, name: `${stem}.${ending}` };
}

/**
 * A folder that goes on with kohya's sd-scripts on another machine: the pictures with their captions, class pictures and
 * masks, dataset.toml, prompts.txt, train.sh with the recipe's settings, sky.yaml for SkyPilot, and a README. File contents by
 * path; every name is made here, so that no text of a person becomes a path, a command or a field. Throws UserError where
 * there are no pictures, or one is of a kind that sd-scripts does not read.
 */
export function makeKohyaBundle(options: BundleOptions): Map<string, Uint8Array<ArrayBuffer>> {
  const { pictures, classPictures = [], recipe, weights } = options;
  if (pictures.length === 0) throw new UserError('There are no pictures to put into the bundle. Add some first.');
  if (options.lora.use_dora) {
    throw new UserError(
      'sd-scripts does not train DoRA in a way that other tools read alike. Turn DoRA off for the bundle.',
    );
  }
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const folders = new Map<string, BundleFolder>();
  const addTo = (folder: BundleFolder, file: string, bytes: Uint8Array, caption: string): string => {
    const known = folders.get(folder.path) ?? folder;
    folders.set(folder.path, { ...known, count: known.count + 1 });
    const { stem, name } = pictureName(file, bytes, known.count + 1);
    files.set(`${folder.path}/${name}`, copied(bytes));
    files.set(`${folder.path}/${stem}.txt`, captionFile(caption));
    return stem;
  };
  for (const { file, bytes, caption, repeats = 1, mask } of pictures) {
    const masks = recipe.masked_loss && mask ? `masks/repeats-${repeats}` : undefined;
    const path = `${masks === undefined ? 'pictures' : 'masked-pictures'}/repeats-${repeats}`;
    const stem = addTo({ path, repeats, count: 0, ...(masks !== undefined && { masks }) }, file, bytes, caption);
    if (masks === undefined || !mask) continue;
    if (!ENDINGS[0]![1](mask)) throw new UserError(`The mask of ${quoteValue(file)} is not a PNG picture.`);
    files.set(`${masks}/${stem}.png`, copied(mask));
  }
  if (recipe.with_prior_preservation) {
    for (const { file, bytes } of classPictures) {
      addTo({ path: 'class-pictures', repeats: 1, count: 0, isClass: true }, file, bytes, recipe.class_prompt);
    }
  }
  if (weights) files.set('start.safetensors', copied(weights));
  const texts: [string, string][] = [
    ['dataset.toml', datasetToml(options, [...folders.values()])],
    ['prompts.txt', promptFile(options)],
    ['train.sh', trainScript(options, [...folders.values()])],
    ['sky.yaml', skyYaml(options)],
    ['README.md', readme(options, [...folders.values()])],
  ];
  for (const [path, text] of texts) files.set(path, encoder.encode(text));
  return files;
}
