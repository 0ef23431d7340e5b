import { UserError } from '../common/errors.ts';
import { quoteValue } from '../common/json.ts';
import type { LoraConfig } from './lora-config.ts';
import { compilePattern, isAllLinear } from './lora-config.ts';

/** A module that LoRA could be asked to adapt; the name is its path inside the transformers class. */
export interface AdaptableModule {
  name: string;
  inFeatures: number;
  outFeatures: number;
  /** A convolution's [height, width]; inFeatures and outFeatures are its channels then. */
  kernel?: readonly [number, number];
  /** An embedding that can be adapted: inFeatures is its vocabulary. */
  embedding?: true;
  /** output: the classifier head, left out by all-linear. embedding and other (norms): refused. Default linear. */
  kind?: 'linear' | 'output' | 'embedding' | 'other';
}

/**
 * A linear layer, convolution or embedding that gets an adapter: y = W x + scale · B (A x); a convolution's A has its kernel,
 * B is 1 by 1; an embedding's x is one-hot.
 */
export interface LoraTarget {
  name: string;
  inFeatures: number;
  outFeatures: number;
  kernel?: readonly [number, number];
  embedding?: true;
  r: number;
  alpha: number;
  /** alpha / r, or alpha / √r with rsLoRA. */
  scale: number;
}

/** Rows of a weight matrix that one output sees: inFeatures, for a convolution times the pixels of its kernel. */
export function kernelArea({ kernel }: { kernel?: readonly [number, number] | undefined }): number {
  return kernel ? kernel[0] * kernel[1] : 1;
}

// A look with a pattern for each of its layers asks for the same expressions hundreds of thousands of times.
const compiled = new Map<string, RegExp>();

function matcher(pattern: string): RegExp {
  let expression = compiled.get(pattern);
  if (!expression) {
    expression = compilePattern(`(.*\\.)?(${pattern})`, 'a pattern');
    if (compiled.size >= 10_000) compiled.clear();
    compiled.set(pattern, expression);
  }
  return expression;
}

/** r, alpha and scale of one module: the first pattern that the name ends in, or matches, decides (PEFT's get_pattern_key). */
export function loraScale(config: LoraConfig, module: string): { r: number; alpha: number; scale: number } {
  const pick = (table: Record<string, number>, otherwise: number): number => {
    const key = Object.keys(table).find((pattern) => matcher(pattern).test(module));
    return key === undefined ? otherwise : table[key]!;
  };
  const r = pick(config.rank_pattern, config.r);
  const alpha = pick(config.alpha_pattern, config.lora_alpha);
  return { r, alpha, scale: config.use_rslora ? alpha / Math.sqrt(r) : alpha / r };
}

/** PEFT 0.21's check_target_module_exists. */
function isTargeted(config: LoraConfig, { name, kernel, embedding, kind = 'linear' }: AdaptableModule): boolean {
  const named = (list: readonly string[]): boolean => list.some((item) => name === item || name.endsWith(`.${item}`));
  const { target_modules: targets, exclude_modules: excluded } = config;
  if (
    typeof excluded === 'string' ? compilePattern(excluded, 'exclude_modules').test(name) : excluded && named(excluded)
  ) {
    return false;
  }
  if (typeof targets === 'string') {
    // PEFT's shorthand means nn.Linear: a convolution of 1 by 1 or an embedding has to be named.
    return isAllLinear(targets)
      ? kind === 'linear' && !kernel && !embedding
      : compilePattern(targets, 'target_modules').test(name);
  }
  if (targets.includes(name)) return true;
  return named(targets) && isInLayers(config, name);
}

/** layers_to_transform: the number of the first block in the name must be among the wanted. */
function isInLayers({ layers_to_transform: layers, layers_pattern: pattern }: LoraConfig, name: string): boolean {
  if (layers === null || (Array.isArray(layers) && layers.length === 0)) return true;
  const lists = pattern === null ? [] : typeof pattern === 'string' ? [pattern] : pattern;
  const forms =
    lists.length === 0
      ? [/^.*?\.[^.]*\.(\d+)\./]
      : lists.map((list) => new RegExp(`^(?:.*?\\.)?(?:${list})\\.(\\d+)\\.`));
  const found = forms.map((form) => form.exec(name)?.[1]).find((index) => index !== undefined);
  if (found === undefined) return false;
  return typeof layers === 'number' ? layers === Number(found) : layers.includes(Number(found));
}

/** Throws UserError where DoRA is asked for on a convolution that looks at more than one pixel, or on an embedding. */
export function loraTarget(
  config: LoraConfig,
  { name, inFeatures, outFeatures, kernel, embedding }: AdaptableModule,
): LoraTarget {
  if (config.use_dora && embedding) {
    throw new UserError(
      `DoRA is supported on linear layers only, and ${quoteValue(name)} is an embedding. Turn DoRA off, or leave the embeddings out.`,
    );
  }
  if (config.use_dora && kernelArea({ kernel }) > 1) {
    throw new UserError(
      `DoRA is supported on linear layers and 1 × 1 convolutions only, and ${quoteValue(name)} is a convolution of ${kernel!.join(' × ')}. Turn DoRA off, or leave such layers out.`,
    );
  }
  return {
    name,
    inFeatures,
    outFeatures,
    ...(kernel && { kernel }),
    ...(embedding && { embedding }),
    ...loraScale(config, name),
  };
}

/**
 * The modules that PEFT 0.21 would adapt, in the order given. Throws UserError where none matches, where something
 * matches that is no linear layer, and where the output layer does.
 */
export function resolveTargets(config: LoraConfig, modules: readonly AdaptableModule[]): LoraTarget[] {
  const targets: LoraTarget[] = [];
  for (const module of modules) {
    if (!isTargeted(config, module)) continue;
    const { name, kind = 'linear' } = module;
    if (kind !== 'linear') {
      const what = { output: 'the output layer', embedding: 'an embedding', other: 'not a linear layer' }[kind];
      throw new UserError(
        `target_modules asks for ${quoteValue(name)}, which is ${what}. Only linear layers inside the blocks can be adapted.`,
      );
    }
    targets.push(loraTarget(config, module));
  }
  if (targets.length === 0) {
    const names = [
      ...new Set(modules.filter(({ kind = 'linear' }) => kind === 'linear').map(({ name }) => name.split('.').at(-1)!)),
    ];
    throw new UserError(
      `target_modules (${quoteValue(config.target_modules)}) matches no layer of this base. It has ${names.join(', ')}.`,
    );
  }
  return targets;
}
