import { UserError } from '../../common/errors.ts';
import { ClipTokenizer } from '../clip/tokenizer.ts';
import { SD15_FACTS, SDXL_FACTS } from './default-configs.ts';
import type { ComponentName } from './checkpoint.ts';
import type { DiffusionParts } from './components.ts';
import { countParameters, readSchedulerConfig, splitComponent } from './components.ts';
import { Checkpoint } from '../files/checkpoint.ts';
import type { ModelFolder } from '../files/folder.ts';
import { readJson } from '../files/folder.ts';
import { openClipName, originalUnetName, originalVaeName } from './single-file-names.ts';
import type { OriginalTensor } from './single-file-names.ts';

/** Where each component's tensors lie in the file. */
type Prefixes = Readonly<Partial<Record<ComponentName, string>>>;

const SD1_PREFIXES: Prefixes = {
  unet: 'model.diffusion_model.',
  vae: 'first_stage_model.',
  text_encoder: 'cond_stage_model.transformer.',
};

const SDXL_PREFIXES: Prefixes = {
  ...SD1_PREFIXES,
  text_encoder: 'conditioner.embedders.0.transformer.',
  text_encoder_2: 'conditioner.embedders.1.model.',
};

/** A tensor that each component has, to say early which is missing. */
const PROBES: Readonly<Record<ComponentName, string>> = {
  unet: 'input_blocks.0.0.weight',
  vae: 'decoder.conv_in.weight',
  text_encoder: 'embeddings.token_embedding.weight',
  text_encoder_2: 'token_embedding.weight',
};

const CALLED: Readonly<Record<ComponentName, string>> = {
  unet: 'UNet',
  vae: 'autoencoder (VAE)',
  text_encoder: 'text encoder',
  text_encoder_2: 'second text encoder',
};

const rootWeights = (folder: ModelFolder): string[] =>
  folder.files.filter((path) => !path.includes('/') && path.endsWith('.safetensors'));

/** A tensor that says a file is of Stable Diffusion 1 or SDXL. */
export const ORIGINAL_UNET = 'model.diffusion_model.input_blocks.0.0.weight';

/** Whether the folder holds a checkpoint of its own instead of components in sub-folders. */
export async function isOriginal(folder: ModelFolder): Promise<boolean> {
  if (folder.files.includes('model_index.json')) return false;
  const [first, second] = rootWeights(folder);
  if (first === undefined) return false;
  if (second !== undefined) {
    throw new UserError(
      `“${folder.name}” has several .safetensors files (${first}, ${second}). Keep the one model in the folder, with its tokenizer.`,
    );
  }
  const { tensors } = await Checkpoint.open(folder);
  if (tensors.has(ORIGINAL_UNET)) return true;
  const names = [...tensors.keys()];
  const isAdapter = names.some((name) => /lora_(?:up|down|A|B)\b|\.lora\.(?:up|down)\./.test(name));
  throw new UserError(
    isAdapter
      ? `${first} in “${folder.name}” holds a LoRA, not a base model. Choose the base that it was made for.`
      : `${first} in “${folder.name}” is not a checkpoint of Stable Diffusion 1.5 or SDXL: it has no UNet of their kind.`,
  );
}

/** Which model it is. Throws UserError for kin that are computed otherwise. */
function recognise(checkpoint: Checkpoint): { isXl: boolean; prefixes: Prefixes } {
  const { folder } = checkpoint;
  const refuse = (what: string, instead: string): UserError =>
    new UserError(`“${folder.name}” holds ${what}, which is not supported. ${instead}`);
  const has = (name: string): boolean => checkpoint.has(name);
  if (has('edm_mean') || has('edm_vpred.sigma_max'))
    throw refuse('a model with an EDM schedule', 'Choose one with the usual noise schedule.');
  if (has('cond_stage_model.model.ln_final.weight'))
    throw refuse(
      'a Stable Diffusion 2 checkpoint in one file',
      'Take its diffusers folder, which says how it was trained.',
    );
  const isXl = has('model.diffusion_model.label_emb.0.0.weight');
  if (isXl && has('conditioner.embedders.0.model.ln_final.weight'))
    throw refuse('the SDXL refiner', 'Choose the SDXL base model.');
  return { isXl, prefixes: isXl ? SDXL_PREFIXES : SD1_PREFIXES };
}

/** v prediction is marked by empty tensors, which trainers of such models put into the file. */
function marked(checkpoint: Checkpoint, scheduler: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    ...scheduler,
    ...(checkpoint.has('v_pred') && { prediction_type: 'v_prediction' }),
    ...(checkpoint.has('ztsnr') && { rescale_betas_zero_snr: true }),
  };
}

/**
 * One .safetensors file under the names of the original releases. Configurations are those of Stable Diffusion 1.5 and SDXL,
 * but for components whose config.json lies beside it (unet/config.json and so on). The tokenizer's files must lie there too.
 */
export async function originalParts(folder: ModelFolder): Promise<DiffusionParts> {
  const checkpoint = await Checkpoint.open(folder);
  const { isXl, prefixes } = recognise(checkpoint);
  const facts = isXl ? SDXL_FACTS : SD15_FACTS;
  const has = (path: string): boolean => folder.files.includes(path);
  const config = (name: ComponentName): Promise<unknown> =>
    has(`${name}/config.json`) ? readJson(folder, `${name}/config.json`) : Promise.resolve(facts[name]);
  const schedulerPath = 'scheduler/scheduler_config.json';
  const configs: DiffusionParts['configs'] = {
    unet: await config('unet'),
    vae: await config('vae'),
    text_encoder: await config('text_encoder'),
    ...(isXl && { text_encoder_2: await config('text_encoder_2') }),
    scheduler: has(schedulerPath)
      ? await readSchedulerConfig(folder, schedulerPath)
      : marked(checkpoint, facts.scheduler),
  };

  /** transformers' text encoders are stored with or without this level. */
  const textLevel = checkpoint.has(`${prefixes.text_encoder}embeddings.token_embedding.weight`) ? '' : 'text_model.';
  for (const [component, prefix] of Object.entries(prefixes) as [ComponentName, string][]) {
    const probe = `${prefix}${component === 'text_encoder' ? textLevel : ''}${PROBES[component]}`;
    if (!checkpoint.has(probe)) {
      throw new UserError(
        `The file in “${folder.name}” has no ${CALLED[component]} (${probe} is missing). Choose a complete checkpoint.`,
      );
    }
  }
  // The width of the first convolution tells models for inpainting apart before any shape is compared.
  const channels = checkpoint.tensors.get(ORIGINAL_UNET)!.shape[1];
  if (!has('unet/config.json') && channels !== 4) {
    throw new UserError(
      `“${folder.name}” holds a model whose UNet takes ${channels} channels, as models for inpainting or editing do. Choose one for drawing from text.`,
    );
  }

  return {
    isOneFile: true,
    configs,
    checkpoints: [checkpoint],
    stored(name, { unet, vae }) {
      const { component, rest } = splitComponent(name);
      const original = ((): OriginalTensor => {
        switch (component) {
          case 'unet':
            return { name: originalUnetName(rest, unet) };
          case 'vae':
            return { name: originalVaeName(rest, vae.channels.length) };
          case 'text_encoder':
            return { name: rest.replace(/^text_model\./, textLevel) };
          case 'text_encoder_2':
            return openClipName(rest);
        }
      })();
      return { ...original, checkpoint, name: (prefixes[component] ?? '') + original.name };
    },
    async tokenizer(encoder) {
      const folders = encoder === 'text_encoder' ? ['tokenizer', ''] : ['tokenizer_2', 'tokenizer', ''];
      const found = folders.find((sub) =>
        ['vocab.json', 'tokenizer.json'].some((file) => has(sub === '' ? file : `${sub}/${file}`)),
      );
      if (found === undefined) {
        throw new UserError(
          `A checkpoint in one file has no tokenizer. Put CLIP's vocab.json and merges.txt (or its tokenizer.json) into the folder “${folder.name}”, beside the .safetensors file or in a folder tokenizer.`,
        );
      }
      // SDXL's second encoder has the first one's vocabulary and pads with "!".
      const borrowed = encoder === 'text_encoder_2' && found !== 'tokenizer_2';
      return ClipTokenizer.load(folder, found, borrowed ? { padToken: '!' } : {});
    },
    parameters(component) {
      const prefix = prefixes[component];
      if (prefix === undefined) return 0;
      return countParameters([...checkpoint.tensors.values()].filter(({ name }) => name.startsWith(prefix)));
    },
  };
}
