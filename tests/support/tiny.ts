import { f32ToBf16 } from '../../src/common/half-floats.ts';
import { MemoryFolder } from '../../src/models/files/folder.ts';
import { writeSafetensors } from '../../src/models/files/safetensors.ts';
import type { TensorData } from '../../src/models/files/safetensors.ts';
import type { CausalLmParser } from '../../src/models/causal-lm/registry.ts';
import { CAUSAL_LMS, parseCausalLm } from '../../src/models/causal-lm/registry.ts';
import { logitsGraph } from '../../src/tasks/voice/graphs.ts';
import { Random } from './matmul.ts';

export type ConfigJson = Record<string, unknown>;

/** config.json of a small Llama with awkward sizes: grouped heads, a vocabulary that is no multiple of four. */
export const TINY: ConfigJson = {
  model_type: 'llama',
  hidden_size: 24,
  intermediate_size: 36,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 6,
  vocab_size: 61,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
  hidden_act: 'silu',
};

/** The tensors that a configuration asks for, with their shapes; what a forward pass declares. */
export function tensorShapes(config: ConfigJson, known = CAUSAL_LMS): { name: string; shape: readonly number[] }[] {
  const lm = parseCausalLm(config, known);
  const graph = logitsGraph({ lm, dtypeOf: () => 'f32', maxBinding: Infinity }, 1);
  return [...graph.weights.values()].flatMap(({ spec }) => spec.sources.filter(({ name }) => !lm.tables.has(name)));
}

export interface TinyOptions {
  seed: number;
  config?: ConfigJson;
  dtype?: 'F32' | 'BF16';
  name?: string;
  /** Changes the tensors before they are written: what a broken folder holds. */
  edit?: (tensors: TensorData[]) => TensorData[];
  /** Further files. */
  files?: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  /** Language models by model_type, in place of the registry's. */
  known?: Readonly<Record<string, CausalLmParser>>;
  /** Tensors that no forward pass asks for: what tables are made of. */
  more?: readonly { name: string; shape: readonly number[] }[];
}

/** The files of a model of random weights, of the size that keeps activations near one. */
export function tinyFiles({
  seed,
  config = {},
  dtype = 'F32',
  edit,
  files,
  known,
  more = [],
}: TinyOptions): Map<string, Uint8Array<ArrayBuffer>> {
  const json = { ...TINY, ...config };
  const random = new Random(seed);
  let tensors = [...tensorShapes(json, known), ...more].map(({ name: tensor, shape }): TensorData => {
    const count = shape.reduce((product, size) => product * size, 1);
    const isNorm = tensor.endsWith('norm.weight');
    const spread = isNorm ? 0.1 : (shape.at(-1) ?? 1) ** -0.5;
    const values = random.normal(count).map((value) => value * spread + (isNorm ? 1 : 0));
    return { name: tensor, dtype, shape, data: dtype === 'F32' ? values : f32ToBf16(values) };
  });
  if (edit) tensors = edit(tensors);
  return new Map([
    ['config.json', new TextEncoder().encode(JSON.stringify(json))],
    ['model.safetensors', writeSafetensors(tensors)],
    ...(files ?? []),
  ]);
}

export function tinyFolder(options: TinyOptions): MemoryFolder {
  return new MemoryFolder(options.name ?? 'tiny', tinyFiles(options));
}
