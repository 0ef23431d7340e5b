import type { Tensor } from '../../src/engine/tensor.ts';
import { cachedAttention } from '../../src/models/causal-lm/attention.ts';
import type { CausalLm, CausalLmConfig, Table } from '../../src/models/causal-lm/causal-lm.ts';
import { positionsOf } from '../../src/models/causal-lm/causal-lm.ts';
import type { KeyRange } from '../../src/models/causal-lm/key-ranges.ts';
import type { ConfigReader } from '../../src/models/files/config-reader.ts';
import type { ModelBuilder } from '../../src/models/layers/builder.ts';
import { ropeTable } from '../../src/models/layers/rope.ts';
import type { ConfigJson } from './tiny.ts';

/**
 * A language model of a block that the page does not know, for tests of the contract alone: windows in two layers of three, of
 * two sizes; scaled embeddings; four norms a block, all times 1 + weight, those of heads as tables of what is stored; part of a
 * head turns in windowed layers, none elsewhere; fused projections; names of its own; the head is the embedding.
 */
export const WINDOWED: ConfigJson = {
  model_type: 'windowed',
  hidden_size: 16,
  intermediate_size: 20,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  vocab_size: 29,
  max_position_embeddings: 512,
  windows: [3, 5],
  eps: 1e-5,
};

export interface WindowedConfig extends CausalLmConfig {
  intermediateSize: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  eps: number;
  windows: readonly number[];
}

/** Only half of a head turns, with a base of its own. */
const ROPE = { theta: 100, scaling: { type: 'default' } } as const;
const PLUS_ONE = '#plus-one';

export const rotaryOf = ({ headDim }: WindowedConfig, range: KeyRange): number =>
  range === 'causal' ? 0 : headDim / 2;

export const windowedRanges = ({ layers, windows }: WindowedConfig): KeyRange[] =>
  Array.from({ length: layers }, (_, i) => {
    const window = windows[i % (windows.length + 1)];
    return window === undefined ? 'causal' : { window };
  });

export const blockName = (layer: number): string => `transformer.h.${layer}`;

function block(b: ModelBuilder, lm: CausalLm, config: WindowedConfig, layer: number, parts: Parts): Tensor {
  const { graph } = b;
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, eps } = config;
  const name = blockName(layer);
  const { x, inputs, cache } = parts;
  const norm = (of: Tensor, part: string): Tensor =>
    graph.emit(
      'rmsNorm',
      { x: of, weight: b.vector([`${name}.${part}_norm.weight`], [hiddenSize]) },
      { eps, offset: 1 },
    ).y;
  const table = (key: string, shape: readonly number[]): Tensor =>
    graph.weight(key, { dtype: 'f32', sources: [{ name: key, shape }] });
  const rotaryDim = rotaryOf(config, lm.keyRanges[layer]!);
  const angles = [positionsOf(config), rotaryDim / 2];
  const packed = b.projections(norm(x, 'before_attention'), [
    { name: `${name}.attention.qkv_proj`, inFeatures: hiddenSize, outFeatures: (heads + 2 * kvHeads) * headDim },
  ]);
  const turned = graph.emit(
    'headNormRope',
    {
      x: packed,
      positions: inputs.positions,
      qWeight: table(`${name}.attention.q_norm.weight${PLUS_ONE}`, [headDim]),
      kWeight: table(`${name}.attention.k_norm.weight${PLUS_ONE}`, [headDim]),
      ...(rotaryDim > 0 && { cos: table('angles.cos', angles), sin: table('angles.sin', angles) }),
    },
    { heads, kvHeads, headDim, rotaryDim, eps },
  ).y;
  const heard = cachedAttention(b, layer, turned, { heads, kvHeads, headDim, scale: 0.3 }, inputs, cache);
  const out = b.projections(heard, [
    { name: `${name}.attention.out_proj`, inFeatures: heads * headDim, outFeatures: hiddenSize },
  ]);
  const attended = graph.add(x, norm(out, 'after_attention'));
  const wide = b.projections(norm(attended, 'before_mlp'), [
    { name: `${name}.mlp.gate_up_proj`, inFeatures: hiddenSize, outFeatures: 2 * intermediateSize },
  ]);
  const { y } = graph.emit('gatedActivation', { x: wide }, { activation: 'gelu_tanh', gate: 'first' });
  const down = b.projections(y, [{ name: `${name}.mlp.out`, inFeatures: intermediateSize, outFeatures: hiddenSize }]);
  return graph.add(attended, norm(down, 'after_mlp'));
}

interface Parts {
  x: Tensor;
  inputs: Parameters<CausalLm['trace']>[1];
  cache: Parameters<CausalLm['trace']>[2];
}

export function parseWindowed(reader: ConfigReader): WindowedConfig {
  return {
    modelType: 'windowed',
    hiddenSize: reader.size('hidden_size'),
    intermediateSize: reader.size('intermediate_size'),
    layers: reader.size('num_hidden_layers'),
    heads: reader.size('num_attention_heads'),
    kvHeads: reader.size('num_key_value_heads'),
    headDim: reader.size('head_dim'),
    vocabSize: reader.size('vocab_size'),
    contextLength: reader.size('max_position_embeddings'),
    windows: reader.sizes('windows', []),
    eps: reader.number('eps', 1e-6),
  };
}

/** The file that such a model would be; `{ windowed }` is its line in the registry. */
export function windowed(reader: ConfigReader): CausalLm {
  const config = parseWindowed(reader);
  const { hiddenSize, vocabSize, layers, headDim, eps } = config;
  const angles =
    (turn: 'cos' | 'sin'): Table =>
    ([positions, pairs]) =>
      ropeTable(ROPE, 2 * pairs!, positions!, turn);
  const plusOne =
    (name: string): Table =>
    async (_, stored) =>
      (await stored(name, [headDim])).map((value) => 1 + value);
  const norms = Array.from({ length: layers }, (_, layer) =>
    ['q_norm', 'k_norm'].map((part) => `${blockName(layer)}.attention.${part}.weight`),
  ).flat();
  const table = (b: ModelBuilder): Tensor => b.matrix(['transformer.wte.weight'], [vocabSize], hiddenSize);
  const lm: CausalLm = {
    config,
    keyRanges: windowedRanges(config),
    tables: new Map([
      ['angles.cos', angles('cos')],
      ['angles.sin', angles('sin')],
      ...norms.map((name): [string, Table] => [`${name}${PLUS_ONE}`, plusOne(name)]),
    ]),
    embedding: 'transformer.wte',
    head: 'classifier',
    trace(b, inputs, cache) {
      const { graph } = b;
      let x = graph.emit('embedding', { ids: inputs.ids, table: table(b) }, { scale: Math.sqrt(hiddenSize) }).y;
      for (let layer = 0; layer < layers; layer++)
        x = graph.inBlock(layer, () => block(b, lm, config, layer, { x, inputs, cache }));
      return graph.emit(
        'rmsNorm',
        { x, weight: b.vector(['transformer.last_norm.weight'], [hiddenSize]) },
        { eps, offset: 1 },
      ).y;
    },
    headWeight: table,
  };
  return lm;
}

/** What the tables are made of: tensors that a forward pass does not declare. */
export const storedNorms = (config: WindowedConfig): { name: string; shape: readonly number[] }[] =>
  Array.from({ length: config.layers }, (_, layer) =>
    ['q_norm', 'k_norm'].map((part) => ({
      name: `${blockName(layer)}.attention.${part}.weight`,
      shape: [config.headDim],
    })),
  ).flat();
