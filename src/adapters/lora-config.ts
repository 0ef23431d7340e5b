import { UserError } from '../common/errors.ts';
import { didYouMean, isJsonObject, quoteValue } from '../common/json.ts';

/** PEFT's LoraConfig, as far as it is supported here; names and meanings are PEFT's. */
export interface LoraConfig {
  r: number;
  lora_alpha: number;
  /** Names or name endings; or one regular expression for the whole name; or 'all-linear'. */
  target_modules: string[] | string;
  exclude_modules: string[] | string | null;
  lora_dropout: number;
  use_rslora: boolean;
  use_dora: boolean;
  /** Module name ending or regular expression -> r. */
  rank_pattern: Record<string, number>;
  /** Module name ending or regular expression -> lora_alpha. */
  alpha_pattern: Record<string, number>;
  layers_to_transform: number[] | number | null;
  layers_pattern: string[] | string | null;
  bias: 'none';
  fan_in_fan_out: false;
  init_lora_weights: boolean | 'gaussian';
  base_model_name_or_path: string | null;
  revision: string | null;
  task_type: string | null;
}

export const ALL_LINEAR = 'all-linear';

/** One field of a LoraConfig, for the form that edits it. */
export interface LoraField {
  name: keyof LoraConfig;
  /** Plain words. */
  label: string;
  help: string;
  default: LoraConfig[keyof LoraConfig];
  group: 'basic' | 'more';
}

export const LORA_FIELDS: readonly LoraField[] = [
  {
    name: 'r',
    label: 'Capacity',
    default: 16,
    group: 'basic',
    help: 'Rank of the adapter: how much it can hold. 8 to 32 suits most; more needs more memory and more examples, and learns by heart sooner.',
  },
  {
    name: 'lora_alpha',
    label: 'Weight of the adapter',
    default: 32,
    group: 'basic',
    help: 'The adapter is multiplied by lora_alpha / r. Twice the rank is usual for voices, the rank itself for looks and sounds; a higher value acts like a higher learning rate.',
  },
  {
    name: 'target_modules',
    label: 'Adapted layers',
    default: ALL_LINEAR,
    group: 'basic',
    help: 'Which layers get an adapter: names such as q_proj, a regular expression for whole names, or all-linear for all but the output layer. More layers learn better for the same rank; fewer take less memory.',
  },
  {
    name: 'lora_dropout',
    label: 'Dropout',
    default: 0,
    group: 'more',
    help: 'Share of the adapter’s inputs that are left out at random in training. 0.05 to 0.1 can help where there are few examples.',
  },
  {
    name: 'use_rslora',
    label: 'Rank-stabilised scaling',
    default: false,
    group: 'more',
    help: 'Multiplies by lora_alpha / √r in place of lora_alpha / r (arXiv:2312.03732), so that a high rank does not learn more slowly.',
  },
  {
    name: 'use_dora',
    label: 'Learn direction and size apart',
    default: false,
    group: 'more',
    help: 'DoRA (arXiv:2402.09353): each output’s size is trained beside the adapter. Can help at a low rank; slower, and fewer tools load it.',
  },
  {
    name: 'init_lora_weights',
    label: 'Start values',
    default: true,
    group: 'more',
    help: 'true: A uniform as in a fresh linear layer, B zero. gaussian: A normal with standard deviation 1 / r. false is not offered: a new adapter has to change nothing.',
  },
  {
    name: 'rank_pattern',
    label: 'Capacity of single layers',
    default: {},
    group: 'more',
    help: 'Other ranks for the layers whose name ends in, or matches, a pattern: {"layers.0.self_attn.q_proj": 32}.',
  },
  {
    name: 'alpha_pattern',
    label: 'Weight of single layers',
    default: {},
    group: 'more',
    help: 'Other values of lora_alpha for the layers whose name ends in, or matches, a pattern.',
  },
  {
    name: 'exclude_modules',
    label: 'Left out',
    default: null,
    group: 'more',
    help: 'Layers that get no adapter although target_modules names them: names, name endings or a regular expression.',
  },
  {
    name: 'layers_to_transform',
    label: 'Only these blocks',
    default: null,
    group: 'more',
    help: 'Numbers (from 0) of the blocks that get an adapter; all of them where this is empty.',
  },
  {
    name: 'layers_pattern',
    label: 'Name of the blocks',
    default: null,
    group: 'more',
    help: 'Name of the list that layers_to_transform counts in, such as layers, where it cannot be told from the names.',
  },
  {
    name: 'bias',
    label: 'Biases',
    default: 'none',
    group: 'more',
    help: 'Always none: biases of the base are not trained.',
  },
  {
    name: 'fan_in_fan_out',
    label: 'Transposed weights',
    default: false,
    group: 'more',
    help: 'Always false: only models that keep their weights as [out, in] are supported.',
  },
  {
    name: 'base_model_name_or_path',
    label: 'Base',
    default: null,
    group: 'more',
    help: 'Repository of the base on the model hub, such as Qwen/Qwen3-0.6B. Other tools use it to find the base.',
  },
  {
    name: 'revision',
    label: 'Version of the base',
    default: null,
    group: 'more',
    help: 'Branch, tag or commit of the base’s repository.',
  },
  {
    name: 'task_type',
    label: 'Task',
    default: 'CAUSAL_LM',
    group: 'more',
    help: 'PEFT’s name for what the model does: CAUSAL_LM for a voice.',
  },
];

const FIELD_NAMES: readonly string[] = LORA_FIELDS.map((field) => field.name);

/** Fields of PEFT that change what the adapter computes in ways not supported here, and how to say so. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  modules_to_save: 'whole layers trained beside the adapter (modules_to_save)',
  lora_bias: 'a bias in the adapter (lora_bias)',
  target_parameters: 'adapters on single parameters (target_parameters)',
  trainable_token_indices: 'trained token embeddings (trainable_token_indices)',
  layer_replication: 'repeated layers (layer_replication)',
  alora_invocation_tokens: 'activated LoRA (alora_invocation_tokens)',
  arrow_config: 'Arrow routing (arrow_config)',
  kasa_config: 'KaSA (kasa_config)',
  megatron_config: 'Megatron layers (megatron_config)',
  monteclora_config: 'MonteCLoRA (monteclora_config)',
  use_bdlora: 'block-diagonal LoRA (use_bdlora)',
  use_qalora: 'QALoRA (use_qalora)',
  velora_config: 'VeLoRA (velora_config)',
};

/** Start values that also change the base, so that the adapter means nothing on the base as it is published. */
const CHANGES_BASE = /^(pissa|olora|loftq|corda|lora_ga)/i;

/**
 * Checks a configuration. Missing fields take the defaults of LORA_FIELDS, in a trained adapter's file PEFT's own.
 * Throws UserError naming the field. trained: it is the file of an adapter that exists, where fields unknown here are
 * passed over (as PEFT does) and ways to initialise that leave the base alone do not matter any more.
 */
export function parseLoraConfig(
  value: unknown,
  source = 'The adapter configuration',
  { trained = false }: { trained?: boolean } = {},
): LoraConfig {
  if (!isJsonObject(value)) throw new UserError(`${source} is not an object with fields such as r and lora_alpha.`);
  const bad = (name: string, must: string): UserError =>
    new UserError(`${source}: ${name} must be ${must}, not ${quoteValue(value[name])}.`);
  refuseUnsupported(value, source);
  if (!trained) {
    const known = [...FIELD_NAMES, 'peft_type'];
    const unknown = Object.keys(value).find((name) => !known.includes(name) && !(name in UNSUPPORTED));
    if (unknown !== undefined) {
      throw new UserError(`${source} has no field ${quoteValue(unknown)}.${didYouMean(unknown, FIELD_NAMES)}`);
    }
  }
  const defaultOf = (name: keyof LoraConfig): unknown =>
    trained && name === 'r'
      ? 8
      : trained && name === 'lora_alpha'
        ? 8
        : LORA_FIELDS.find((f) => f.name === name)!.default;
  const given = (name: keyof LoraConfig): unknown => value[name] ?? defaultOf(name);

  const rank = (name: 'r'): number => {
    const r = given(name);
    if (!isRank(r)) throw bad(name, 'a whole number from 1 to 4096');
    return r;
  };
  const flag = (name: 'use_rslora' | 'use_dora'): boolean => {
    const on = given(name);
    if (typeof on !== 'boolean') throw bad(name, 'true or false');
    return on;
  };
  const text = (name: 'base_model_name_or_path' | 'revision' | 'task_type'): string | null => {
    const words = name === 'task_type' && trained ? (value[name] ?? null) : given(name);
    if (words !== null && typeof words !== 'string') throw bad(name, 'text or null');
    return words;
  };
  const names = (name: 'target_modules' | 'exclude_modules' | 'layers_pattern'): string[] | string | null => {
    const list = given(name);
    if (list === null || (typeof list === 'string' && list !== '')) return list;
    const isList = Array.isArray(list) && list.every((item) => typeof item === 'string' && item !== '');
    if (!isList) throw bad(name, 'a list of module names or a regular expression');
    return list.length === 0 && name !== 'target_modules' ? null : [...(list as string[])];
  };
  const pattern = (name: 'rank_pattern' | 'alpha_pattern', must: string, fits: (x: unknown) => boolean) => {
    const table = given(name);
    if (!isJsonObject(table) || !Object.values(table).every(fits)) throw bad(name, must);
    for (const key of Object.keys(table)) compilePattern(key, name, source);
    return { ...table } as Record<string, number>;
  };

  const alpha = given('lora_alpha');
  if (!isAlpha(alpha)) throw bad('lora_alpha', 'a number above 0');
  const dropout = given('lora_dropout');
  if (typeof dropout !== 'number' || !(dropout >= 0 && dropout < 1)) throw bad('lora_dropout', 'from 0 to below 1');
  const targets = names('target_modules');
  if (targets === null || targets.length === 0)
    throw bad('target_modules', 'a list of module names or a regular expression');
  if (typeof targets === 'string' && !isAllLinear(targets)) compilePattern(targets, 'target_modules', source);
  const excluded = names('exclude_modules');
  if (typeof excluded === 'string') compilePattern(excluded, 'exclude_modules', source);
  const layersPattern = names('layers_pattern');
  for (const entry of typeof layersPattern === 'string' ? [layersPattern] : (layersPattern ?? [])) {
    compilePattern(entry, 'layers_pattern', source);
  }
  const layers = given('layers_to_transform');
  const isLayer = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;
  if (layers !== null && !isLayer(layers) && !(Array.isArray(layers) && layers.every(isLayer))) {
    throw bad('layers_to_transform', 'a block number or a list of them');
  }
  if (layers !== null && typeof targets === 'string') {
    throw new UserError(
      `${source}: layers_to_transform works only with a list in target_modules. Say the layers in the expression.`,
    );
  }
  if (layersPattern !== null && layers === null) {
    throw new UserError(`${source}: layers_pattern is given without layers_to_transform. Give both or neither.`);
  }
  return {
    r: rank('r'),
    lora_alpha: alpha,
    target_modules: targets,
    exclude_modules: excluded,
    lora_dropout: dropout,
    use_rslora: flag('use_rslora'),
    use_dora: flag('use_dora'),
    rank_pattern: pattern('rank_pattern', 'an object of ranks, whole numbers from 1 to 4096', isRank),
    alpha_pattern: pattern('alpha_pattern', 'an object of numbers above 0', isAlpha),
    layers_to_transform: layers as number[] | number | null,
    layers_pattern: layersPattern,
    bias: 'none',
    fan_in_fan_out: false,
    init_lora_weights: parseInit(given('init_lora_weights'), source, trained),
    base_model_name_or_path: text('base_model_name_or_path'),
    revision: text('revision'),
    task_type: text('task_type'),
  };
}

function isRank(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= 4096;
}

function isAlpha(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}

export function isAllLinear(targets: string): boolean {
  return targets.toLowerCase() === ALL_LINEAR;
}

function parseInit(value: unknown, source: string, trained: boolean): boolean | 'gaussian' {
  if (value === true || value === 'gaussian') return value;
  if (trained) {
    if (typeof value !== 'string' || !CHANGES_BASE.test(value)) return true;
    throw new UserError(
      `${source} says that the adapter was started with ${value.slice(0, 20)}, which also changed the base: it does not fit the base as published. Convert it to a plain LoRA with PEFT first.`,
    );
  }
  throw new UserError(`${source}: init_lora_weights must be true or "gaussian", not ${quoteValue(value)}.`);
}

function refuseUnsupported(value: Record<string, unknown>, source: string): void {
  const type = value['peft_type'];
  if (type !== undefined && type !== 'LORA') {
    throw new UserError(`${source} is of the kind ${quoteValue(type)}; only LORA is supported.`);
  }
  const isSet = (field: unknown): boolean =>
    field !== undefined &&
    field !== null &&
    field !== false &&
    !(typeof field === 'object' && Object.keys(field).length === 0);
  for (const [name, words] of Object.entries(UNSUPPORTED)) {
    if (isSet(value[name])) throw new UserError(`${source} asks for ${words}, which is not supported. Use plain LoRA.`);
  }
  if (value['bias'] !== undefined && value['bias'] !== null && value['bias'] !== 'none') {
    throw new UserError(
      `${source} asks for trained biases (bias: ${quoteValue(value['bias'])}), which are not supported. Use bias "none".`,
    );
  }
  if (value['fan_in_fan_out'] === true) {
    throw new UserError(`${source} asks for transposed weights (fan_in_fan_out), which are not supported.`);
  }
}

/**
 * A Python regular expression as PEFT uses it, for a whole name (re.fullmatch). Throws UserError for what JavaScript
 * does not read, and for forms that can take forever on a short name: a file must not be able to stop the page.
 */
export function compilePattern(pattern: string, field: string, source = 'The adapter configuration'): RegExp {
  const refused = (why: string): UserError =>
    new UserError(`${source}: ${field} holds ${quoteValue(pattern)}, ${why}.`);
  const unbounded = pattern.match(/(?<!\\)(?:[*+]|\{\d*,\})/g)?.length ?? 0;
  const nested = /\((?:[^()\\]|\\.)*(?:[*+]|\{\d*,\d*\})(?:[^()\\]|\\.)*\)(?:[*+]|\{)/.test(pattern);
  if (pattern.length > 2000 || unbounded > 8 || nested)
    throw refused('which is too involved for a regular expression of names');
  const translated = pattern.replaceAll('(?P<', '(?<').replaceAll('\\Z', '$').replaceAll('\\A', '^');
  try {
    return new RegExp(`^(?:${translated})$`);
  } catch {
    throw refused('which is not a regular expression that can be read here');
  }
}

export { loraScale, resolveTargets } from './targets.ts';
export type { AdaptableModule, LoraTarget } from './targets.ts';
