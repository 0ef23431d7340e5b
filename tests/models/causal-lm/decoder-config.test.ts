import { describe, expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import { parseCausalLm } from '../../../src/models/causal-lm/registry.ts';
import { parsePrecision } from '../../../src/models/files/precision.ts';
import { TINY } from '../../support/tiny.ts';

const configOf = (json: unknown) => parseCausalLm(json).config;

describe('config.json of a base', () => {
  test('a Llama as it stands, and with what transformers fills in', () => {
    const full = configOf(TINY);
    expect(full).toMatchObject({
      modelType: 'llama',
      hiddenSize: 24,
      intermediateSize: 36,
      layers: 2,
      heads: 4,
      kvHeads: 2,
      headDim: 6,
      vocabSize: 61,
      contextLength: 64,
      eps: 1e-5,
      tied: false,
      activation: 'silu',
      qkvBias: false,
      outputBias: false,
      mlpBias: false,
      headNorm: false,
    });
    const {
      head_dim: _,
      num_key_value_heads: __,
      rms_norm_eps: ___,
      max_position_embeddings: ____,
      hidden_act: _____,
      ...few
    } = TINY;
    expect(configOf(few)).toMatchObject({
      headDim: 6,
      kvHeads: 4,
      eps: 1e-6,
      contextLength: 2048,
      activation: 'silu',
    });
  });

  test('Llama has the biases that it says, Qwen2 its own, Qwen3 norms of heads', () => {
    expect(configOf({ ...TINY, attention_bias: true, mlp_bias: true })).toMatchObject({
      qkvBias: true,
      outputBias: true,
      mlpBias: true,
    });
    expect(configOf({ ...TINY, model_type: 'qwen2' })).toMatchObject({
      qkvBias: true,
      outputBias: false,
      headNorm: false,
    });
    const { head_dim: _, ...withoutHeadDim } = TINY;
    expect(configOf({ ...withoutHeadDim, model_type: 'qwen3' })).toMatchObject({
      headDim: 128,
      headNorm: true,
      qkvBias: false,
    });
  });

  test.each([
    ['gelu', 'gelu'],
    ['gelu_pytorch_tanh', 'gelu_tanh'],
    ['silu', 'silu'],
    ['swish', 'silu'],
    ['relu', 'relu'],
  ])('the activation %s', (name, activation) => {
    expect(configOf({ ...TINY, hidden_act: name })).toMatchObject({ activation });
  });

  test.each([
    [{ model_type: 'gemma3_text' }, /“gemma3_text”.*llama, qwen2, qwen3/],
    [{ model_type: 'toString' }, /“toString”.*llama, qwen2, qwen3/],
    [{ model_type: undefined }, /not supported/],
    [{ hidden_size: undefined }, /hidden_size/],
    [{ hidden_size: -24 }, /hidden_size is -24/],
    [{ hidden_size: '24' }, /hidden_size is “24”/],
    [{ hidden_size: 2 ** 40 }, /hidden_size/],
    [{ num_hidden_layers: 1.5 }, /num_hidden_layers is 1.5/],
    [{ intermediate_size: null }, /intermediate_size/],
    [{ vocab_size: 0 }, /vocab_size is 0/],
    [{ num_key_value_heads: 3 }, /4 heads for 3 key\/value heads/],
    [{ head_dim: 7 }, /heads of size 7/],
    [{ head_dim: 512 }, /heads of size 512/],
    [{ hidden_act: 'relu6' }, /“relu6”/],
    [{ hidden_act: 'constructor' }, /“constructor”/],
    [{ rms_norm_eps: 'small' }, /rms_norm_eps/],
    [{ use_sliding_window: true }, /sliding-window/],
    // Words for a flag are no flag: “false” is not true.
    [{ tie_word_embeddings: 'false' }, /tie_word_embeddings is “false”; true or false is needed/],
    [{ attention_bias: 'false' }, /attention_bias is “false”/],
    [{ mlp_bias: 0 }, /mlp_bias is 0/],
    [{ use_sliding_window: 'no' }, /use_sliding_window is “no”/],
    [{ hidden_act: 'x'.repeat(1000) }, /hidden_act is “x{90,120}…/],
  ])('%j is refused by name', (change, message) => {
    expect(() => parseCausalLm({ ...TINY, ...change })).toThrow(UserError);
    expect(() => parseCausalLm({ ...TINY, ...change })).toThrow(message);
  });

  test.each([null, [], 'llama', 3])('%j is no configuration', (json) => {
    expect(() => parseCausalLm(json)).toThrow(/not a JSON object/);
  });

  test('a precision is one of those offered', () => {
    expect(parsePrecision(undefined)).toBe('stored');
    expect(parsePrecision('bf16')).toBe('bf16');
    expect(() => parsePrecision('int3')).toThrow(/“int3”.*stored, f32, bf16, f16/);
  });
});
