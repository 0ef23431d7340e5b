import { UserError } from '../common/errors.ts';
import { decodeFloats } from '../models/files/dtypes.ts';
import { readJson } from '../models/files/folder.ts';
import type { ModelFolder } from '../models/files/folder.ts';
import { quoteValue } from '../common/json.ts';
import { parseSafetensors, writeSafetensors } from '../models/files/safetensors.ts';
import type { TensorData, TensorEntry } from '../models/files/safetensors.ts';
import { isAllLinear, parseLoraConfig } from './lora-config.ts';
import type { LoraConfig } from './lora-config.ts';
import { kernelArea, loraScale, loraTarget } from './targets.ts';
import type { AdaptableModule, LoraTarget } from './targets.ts';

/** One adapted linear layer, convolution or embedding, row-major, as files have it. */
export interface LoraTensors {
  /** [r, inFeatures]; of a convolution [r, inFeatures, height, width]; of an embedding [r, vocabulary] */
  A: Float32Array<ArrayBuffer>;
  /** [outFeatures, r]; of a convolution [outFeatures, r, 1, 1] */
  B: Float32Array<ArrayBuffer>;
  /** DoRA's [outFeatures]; of a convolution [1, outFeatures, 1, 1] */
  magnitude?: Float32Array<ArrayBuffer>;
  r: number;
  inFeatures: number;
  outFeatures: number;
  /** Of a convolution, 1 by 1 included: [height, width]. */
  kernel?: readonly [number, number];
  /** Of an embedding, whose tensors go by other names. */
  embedding?: true;
}

/** The shapes that the tensors of a module have in a file. */
export function loraShapes({
  r,
  inFeatures,
  outFeatures,
  kernel,
}: Pick<LoraTensors, 'r' | 'inFeatures' | 'outFeatures' | 'kernel'>): Record<LoraPart, number[]> {
  return kernel
    ? { A: [r, inFeatures, ...kernel], B: [outFeatures, r, 1, 1], magnitude: [1, outFeatures, 1, 1] }
    : { A: [r, inFeatures], B: [outFeatures, r], magnitude: [outFeatures] };
}

export interface Adapter {
  config: LoraConfig;
  /** By module name, e.g. model.layers.0.self_attn.q_proj. */
  tensors: Map<string, LoraTensors>;
}

const PREFIX = 'base_model.model.';
const CONFIG_FILE = 'adapter_config.json';
const WEIGHTS_FILE = 'adapter_model.safetensors';
/** The version whose set of fields is written. */
const PEFT_VERSION = '0.21.0';

export type LoraPart = 'A' | 'B' | 'magnitude';
const SUFFIX: Readonly<Record<LoraPart, string>> = {
  A: '.lora_A.weight',
  B: '.lora_B.weight',
  magnitude: '.lora_magnitude_vector',
};
/** What PEFT calls A and B of an embedding. */
const EMBEDDING_SUFFIX: Readonly<Record<LoraPart, string>> = {
  ...SUFFIX,
  A: '.lora_embedding_A',
  B: '.lora_embedding_B',
};

/** PEFT's ending of a tensor's name, behind its module's. */
export function partSuffix(part: LoraPart): string {
  return SUFFIX[part];
}

/** PEFT's name of a tensor in its file, e.g. base_model.model.<module>.lora_A.weight. */
export function peftTensorName(module: string, part: LoraPart, embedding = false): string {
  return PREFIX + module + (embedding ? EMBEDDING_SUFFIX : SUFFIX)[part];
}

export interface PeftReading {
  /** Whether layers may be convolutions. */
  convolutions?: boolean;
  /** Whether embeddings may be adapted. */
  embeddings?: boolean;
  /** Path of the adapter inside the folder, '' or ending in a slash; else the one adapter of the folder is found. */
  prefix?: string;
}

/** An adapter tensor under PEFT's name, as files have it. */
export interface NamedTensor {
  name: string;
  shape: readonly number[];
  values: Float32Array<ArrayBuffer>;
}

/**
 * The adapter that these tensors make up, in their order: modules, ranks, kernels and embeddings follow from names and shapes.
 * Throws UserError for a name that is no adapter tensor's and where A or B of a module is missing.
 */
export function adapterOfTensors(config: LoraConfig, tensors: Iterable<NamedTensor>): Adapter {
  const where = 'a saved run';
  const modules = new Map<string, Partial<Record<LoraPart, NamedTensor>> & { embedding?: true }>();
  for (const tensor of tensors) {
    const { module, part, embedding } = splitName(tensor.name, where, true);
    const parts = modules.get(module) ?? { ...(embedding && { embedding }) };
    parts[part] = tensor;
    modules.set(module, parts);
  }
  const adapter: Adapter = { config, tensors: new Map() };
  for (const [module, { A, B, magnitude, embedding }] of modules) {
    const [r, inFeatures, ...kernel] = A?.shape ?? [];
    const outFeatures = B?.shape[0];
    if (!A || !B || r === undefined || inFeatures === undefined || outFeatures === undefined)
      throw new UserError(
        `The saved run lacks a part of the adapter of ${quoteValue(module)}. Use another checkpoint.`,
      );
    adapter.tensors.set(module, {
      A: A.values,
      B: B.values,
      ...(magnitude && { magnitude: magnitude.values }),
      r,
      inFeatures,
      outFeatures,
      ...(kernel.length === 2 && { kernel: kernel as [number, number] }),
      ...(embedding && { embedding }),
    });
  }
  return adapter;
}

/**
 * Reads adapter_config.json and adapter_model.safetensors (F32, F16 or BF16). An adapter saved under a name of its own
 * lies in a sub-folder; where there is exactly one, it is taken. Throws UserError naming whatever does not agree.
 */
export async function readPeftFolder(
  folder: ModelFolder,
  { convolutions = false, embeddings = false, prefix = adapterPrefix(folder) }: PeftReading = {},
): Promise<Adapter> {
  const config = parseLoraConfig(await readJson(folder, prefix + CONFIG_FILE), `${CONFIG_FILE} in “${folder.name}”`, {
    trained: true,
  });
  if (!folder.files.includes(prefix + WEIGHTS_FILE)) {
    const pickled = folder.files.includes(`${prefix}adapter_model.bin`);
    throw new UserError(
      pickled
        ? `“${folder.name}” holds its adapter as adapter_model.bin, which may run code and is not opened here. Save it again with PEFT as safetensors.`
        : `“${folder.name}” has no ${WEIGHTS_FILE}. Add the file that belongs to its ${CONFIG_FILE}.`,
    );
  }
  const { tensors: entries } = await parseSafetensors(folder, prefix + WEIGHTS_FILE);
  const modules = new Map<string, ModuleEntries>();
  for (const entry of entries.values()) {
    const { module, part, embedding } = splitName(entry.name, folder.name, embeddings);
    const parts = modules.get(module) ?? { ...(embedding && { embedding }) };
    if (parts[part]) throw new UserError(`“${folder.name}” holds ${part} of ${quoteValue(module)} twice.`);
    parts[part] = entry;
    modules.set(module, parts);
  }
  if (modules.size === 0) throw new UserError(`${WEIGHTS_FILE} in “${folder.name}” holds no tensors.`);
  const tensors = new Map<string, LoraTensors>();
  for (const [module, parts] of modules) {
    tensors.set(module, await readModule(folder, config, module, parts, convolutions));
  }
  return { config, tensors };
}

function adapterPrefix(folder: ModelFolder): string {
  if (folder.files.includes(CONFIG_FILE)) return '';
  const nested = folder.files.filter((path) => path.endsWith(`/${CONFIG_FILE}`));
  if (nested.length === 1) return nested[0]!.slice(0, -CONFIG_FILE.length);
  throw new UserError(
    nested.length === 0
      ? `“${folder.name}” has no ${CONFIG_FILE}, so it is not an adapter in PEFT's format.`
      : `“${folder.name}” holds several adapters. Choose the folder of one.`,
  );
}

type ModuleEntries = Partial<Record<LoraPart, TensorEntry>> & { embedding?: true };

function splitName(
  name: string,
  folder: string,
  embeddings: boolean,
): { module: string; part: LoraPart; embedding?: true } {
  if (name.startsWith(PREFIX)) {
    for (const part of ['A', 'B'] as const) {
      const module = name.slice(PREFIX.length, -EMBEDDING_SUFFIX[part].length);
      if (embeddings && name.endsWith(EMBEDDING_SUFFIX[part]) && module !== '')
        return { module, part, embedding: true };
    }
    for (const part of ['A', 'B', 'magnitude'] as const) {
      // Older PEFT wrote the magnitude with .weight behind it.
      for (const suffix of part === 'magnitude' ? [SUFFIX.magnitude, `${SUFFIX.magnitude}.weight`] : [SUFFIX[part]]) {
        const module = name.slice(PREFIX.length, -suffix.length);
        if (name.endsWith(suffix) && module !== '') return { module, part };
      }
    }
  }
  const why = /lora_embedding|token_adapter/.test(name)
    ? 'which adapts an embedding'
    : /lora_B\.bias$/.test(name)
      ? 'a bias'
      : name.startsWith(PREFIX)
        ? 'which is no part of a LoRA'
        : `whose name does not begin with ${PREFIX}`;
  throw new UserError(
    `The adapter “${folder}” holds the tensor ${quoteValue(name)}, ${why}. Only LoRA on linear layers is supported.`,
  );
}

async function readModule(
  folder: ModelFolder,
  config: LoraConfig,
  module: string,
  parts: ModuleEntries,
  convolutions: boolean,
): Promise<LoraTensors> {
  const wrong = (why: string): UserError => new UserError(`The adapter “${folder.name}” is not sound: ${why}.`);
  const { A, B, magnitude, embedding } = parts;
  if (!A || !B)
    throw wrong(
      `${quoteValue(module)} has ${A ? 'lora_A but no lora_B' : B ? 'lora_B but no lora_A' : 'neither lora_A nor lora_B'}`,
    );
  const shape = (entry: TensorEntry): string => `[${entry.shape.join(', ')}]`;
  const kernel = A.shape.length === 4 ? ([A.shape[2]!, A.shape[3]!] as const) : undefined;
  const isConvolution = kernel !== undefined && B.shape.length === 4 && B.shape[2] === 1 && B.shape[3] === 1;
  if (!(convolutions && isConvolution) && (A.shape.length !== 2 || B.shape.length !== 2)) {
    throw wrong(
      `${quoteValue(module)} has lora_A of shape ${shape(A)} and lora_B of shape ${shape(B)}; linear layers have two dimensions`,
    );
  }
  const [r, inFeatures] = A.shape as [number, number];
  const [outFeatures, rankOfB] = B.shape as [number, number];
  const expected = loraScale(config, module).r;
  if (r !== expected || rankOfB !== expected) {
    throw wrong(
      `${quoteValue(module)} should have rank ${expected} by its ${CONFIG_FILE}, but lora_A is ${shape(A)} and lora_B ${shape(B)}`,
    );
  }
  if (inFeatures === 0 || outFeatures === 0 || kernelArea({ kernel }) === 0)
    throw wrong(`${quoteValue(module)} has an empty tensor`);
  // DoRA is on linear layers alone.
  if ((config.use_dora && !embedding) !== (magnitude !== undefined)) {
    throw wrong(
      config.use_dora
        ? `${quoteValue(module)} lacks DoRA's lora_magnitude_vector`
        : `${quoteValue(module)} has a DoRA magnitude, but use_dora is false`,
    );
  }
  if (magnitude && magnitude.shape.reduce((product, dim) => product * dim, 1) !== outFeatures) {
    throw wrong(`${quoteValue(module)} has a magnitude of shape ${shape(magnitude)}; [${outFeatures}] was expected`);
  }
  const floats = async (entry: TensorEntry): Promise<Float32Array<ArrayBuffer>> => {
    const bytes = await folder.read(entry.file, entry.begin, entry.end);
    const values = decodeFloats(bytes, entry.dtype, `Tensor ${quoteValue(entry.name)} of the adapter “${folder.name}”`);
    if (!values.every(Number.isFinite))
      throw wrong(`tensor ${quoteValue(entry.name)} holds values that are not finite`);
    return values;
  };
  const sizes = { r, inFeatures, outFeatures, ...(kernel && { kernel }), ...(embedding && { embedding }) };
  const tensors: LoraTensors = { A: await floats(A), B: await floats(B), ...sizes };
  if (magnitude) tensors.magnitude = await floats(magnitude);
  return tensors;
}

/**
 * The layers of a base that an adapter applies to. Throws UserError naming a layer that the base does not have, or
 * that has another size there. A linear layer and a convolution of 1 by 1 are taken for each other: files differ in it.
 */
export function matchAdapter(adapter: Adapter, modules: readonly AdaptableModule[]): LoraTarget[] {
  const byName = new Map(modules.map((module) => [module.name, module]));
  for (const [name, tensors] of adapter.tensors) {
    const module = byName.get(name);
    if (!module)
      throw new UserError(
        `The adapter is for a layer ${quoteValue(name)} that this base does not have. It was made for another base.`,
      );
    if ((module.kind ?? 'linear') !== 'linear') {
      throw new UserError(
        `The adapter changes ${quoteValue(name)}, which is no linear layer inside the blocks. That is not supported.`,
      );
    }
    if (Boolean(module.embedding) !== Boolean(tensors.embedding)) {
      throw new UserError(
        `The adapter takes ${quoteValue(name)} to be ${tensors.embedding ? 'an embedding' : 'a linear layer'}, which it is not in this base.`,
      );
    }
    const size = ({ inFeatures, outFeatures, kernel }: AdaptableModule | LoraTensors): string =>
      [outFeatures, inFeatures, ...(kernel && kernelArea({ kernel }) > 1 ? kernel : [])].join(' × ');
    if (size(module) !== size(tensors)) {
      throw new UserError(
        `The adapter takes ${quoteValue(name)} to be ${size(tensors)}; this base has ${size(module)}. It was made for another base.`,
      );
    }
  }
  return modules.flatMap((module) => (adapter.tensors.has(module.name) ? [loraTarget(adapter.config, module)] : []));
}

export interface ModelCard {
  title?: string;
  /** Plain text under the title. */
  description?: string;
}

/** The files of a PEFT folder, by path: configuration, weights (F32) and a model card. */
export function writePeftFolder(adapter: Adapter, card: ModelCard = {}): Map<string, Uint8Array<ArrayBuffer>> {
  const text = new TextEncoder();
  return new Map([
    [CONFIG_FILE, text.encode(peftConfigJson(adapter))],
    [
      WEIGHTS_FILE,
      writeSafetensors(
        [...adapter.tensors].flatMap(([module, tensors]) => loraTensorData(module, tensors)),
        { format: 'pt' },
      ),
    ],
    ['README.md', text.encode(modelCard(adapter.config, card))],
  ]);
}

export function loraTensorData(module: string, tensors: LoraTensors): TensorData[] {
  const shapes = loraShapes(tensors);
  const tensor = (part: LoraPart, data: Float32Array): TensorData => ({
    name: peftTensorName(module, part, tensors.embedding),
    dtype: 'F32',
    shape: shapes[part],
    data,
  });
  const pair = [tensor('A', tensors.A), tensor('B', tensors.B)];
  return tensors.magnitude ? [...pair, tensor('magnitude', tensors.magnitude)] : pair;
}

/** adapter_config.json with every field that PEFT 0.21 writes, so that it loads without a warning. */
function peftConfigJson({ config, tensors }: Adapter): string {
  // Other tools know names better than the shorthand; PEFT, too, saves what all-linear came to.
  const { target_modules: asked } = config;
  const lastNames = [...new Set([...tensors.keys()].map((module) => module.split('.').at(-1)!))];
  const targets = typeof asked === 'string' ? (isAllLinear(asked) ? lastNames : asked) : [...asked];
  if (Array.isArray(targets)) targets.sort();
  const fields: Record<string, unknown> = {
    alora_invocation_tokens: null,
    arrow_config: null,
    auto_mapping: null,
    corda_config: null,
    ensure_weight_tying: false,
    eva_config: null,
    inference_mode: true,
    kasa_config: null,
    layer_replication: null,
    loftq_config: {},
    lora_bias: false,
    lora_ga_config: null,
    megatron_config: null,
    megatron_core: 'megatron.core',
    modules_to_save: null,
    monteclora_config: null,
    peft_type: 'LORA',
    peft_version: PEFT_VERSION,
    qalora_group_size: 16,
    target_parameters: null,
    trainable_token_indices: null,
    use_bdlora: null,
    use_qalora: false,
    velora_config: null,
    ...config,
    target_modules: targets,
  };
  const sorted = Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify(sorted, null, 2)}\n`;
}

function modelCard(
  { base_model_name_or_path: base }: LoraConfig,
  { title = 'LoRA adapter', description = '' }: ModelCard,
): string {
  // A JSON string is a YAML string too, whatever it holds.
  const front = [
    '---',
    ...(base ? [`base_model: ${JSON.stringify(base)}`] : []),
    'library_name: peft',
    'tags:',
    '- lora',
    '---',
  ];
  const plain = (text: string): string => text.replace(/[\r\n]+/g, ' ').trim();
  return `${[...front, '', `# ${plain(title)}`, ...(description ? ['', plain(description)] : [])].join('\n')}\n`;
}
