import { UserError } from '../../common/errors.ts';
import { WANTED, type PickedFiles } from '../pick-folder.ts';

/** The parts of a diffusers folder that are read. */
const PARTS = /^(unet|vae|text_encoder|text_encoder_2|tokenizer|tokenizer_2|scheduler)\/[^/]+$/;
const TOKENIZER = /(^|\/)(tokenizer\.json|vocab\.json|merges\.txt)$/;

/** Weights of a part are often there twice or three times over: the plain ones, in half precision, and before averaging. */
function plainWeights(files: PickedFiles['files']): PickedFiles['files'] {
  const paths = new Set(files.map(({ path }) => path));
  return files.filter(({ path }) => {
    const plain = path.replace(/\.(fp16|non_ema)(?=[.-])/g, '');
    return plain === path || !paths.has(plain);
  });
}

/** The files of an image model among those picked: a diffusers folder, or one checkpoint file with its tokenizer. */
export function lookFiles({ name, files }: PickedFiles): PickedFiles {
  if (files.length === 0) throw new UserError(`“${name}” is empty. Pick the folder that holds model_index.json.`);
  const has = (test: (path: string) => boolean): boolean => files.some(({ path }) => test(path));
  if (has((path) => path === 'model_index.json')) {
    const found = files.filter(({ path }) => path === 'model_index.json' || (PARTS.test(path) && WANTED.test(path)));
    for (const part of ['unet', 'vae', 'text_encoder']) {
      if (found.some(({ path }) => path.startsWith(`${part}/`) && path.endsWith('.safetensors'))) continue;
      throw new UserError(
        `“${name}” has no .safetensors file in ${part}/. Get the model in the safetensors format, with all of its folders.`,
      );
    }
    return { name, files: plainWeights(found) };
  }
  if (has((path) => path === 'config.json')) {
    throw new UserError(
      `“${name}” has a config.json and no model_index.json, so it is a chat model, or one part of an image model. Pick the folder that holds model_index.json, or a checkpoint file.`,
    );
  }
  const weights = files.filter(({ path }) => path.endsWith('.safetensors'));
  const other = files.find(({ path }) => /\.(gguf|bin|pth|pt|ckpt|onnx)$/i.test(path));
  if (weights.length === 0) {
    throw new UserError(
      other
        ? `“${other.path}” is a model in another format. Get it as a .safetensors file, or as a diffusers folder.`
        : `“${name}” is no image model: there is neither a model_index.json nor a .safetensors file in it. Pick the folder that holds one of them.`,
    );
  }
  if (weights.length > 1) {
    throw new UserError(
      `“${name}” has ${weights.length} .safetensors files and no model_index.json, so it is not clear which one is the model. Leave one of them in the folder.`,
    );
  }
  const tokenizer = files.filter(({ path }) => TOKENIZER.test(path) || path.endsWith('tokenizer_config.json'));
  const part = (end: string): boolean => tokenizer.some(({ path }) => path.endsWith(end));
  if (!part('tokenizer.json') && !(part('vocab.json') && part('merges.txt'))) {
    throw new UserError(
      `“${weights[0]!.path}” comes without the list of words that it reads. Put vocab.json and merges.txt beside it: they lie in the tokenizer folder of every Stable Diffusion model of its generation.`,
    );
  }
  // A checkpoint file is known by its own name, whatever folder it lies in.
  const stem = weights[0]!.path.replace(/^.*\//, '').replace(/\.safetensors$/, '');
  return { name: stem === 'model' ? name : stem, files: [...weights, ...tokenizer] };
}
