import {
  blockUntilReady,
  defaultDevice,
  getWebGPUDevice,
  init,
  jit,
  nn,
  numpy as np,
  tree,
  valueAndGrad,
} from '@jax-js/jax';
import { ADAMW, LORA_ALPHA, RANK, RMS_NORM_EPS, ROPE_THETA } from './work.ts';
import type { Matrix, Shape, Side, Work } from './work.ts';

// jax-js counts references: a function consumes its arguments, and `.ref` keeps one for a second use.

type Arrays = Record<string, np.Array>;

/** How the matrices of linear layers lie: [in, out], so that a product takes them as they are, or transformers' [out, in]. */
export type Layout = 'in-out' | 'out-in';

/** Linear layers but for the word list, which is looked up by row. Norms are vectors. */
const isLinear = (name: string, { shape }: Matrix): boolean => shape.length === 2 && !name.includes('embed_tokens');

function transposed({ shape, data }: Matrix): Matrix {
  const [rows, columns] = shape as [number, number];
  const result = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = data[row * columns + column]!;
  }
  return { shape: [columns, rows], data: result };
}

/** x [T, D] -> x / rms(x) * weight [D]. */
function rmsNorm(x: np.Array, weight: np.Array): np.Array {
  const variance = np.mean(np.square(x.ref), -1, { keepdims: true });
  return x.mul(np.reciprocal(np.sqrt(variance.add(RMS_NORM_EPS)))).mul(weight);
}

/** x [T, H, d] turned by its position: x cos + rotate_half(x) sin, the sign of rotate_half kept in `sin`. cos, sin: [T, 1, d]. */
function rotary(x: np.Array, cos: np.Array, sin: np.Array): np.Array {
  const [tokens, heads, size] = x.shape as [number, number, number];
  const halves = np.flip(x.ref.reshape([tokens, heads, 2, size / 2]), 2).reshape([tokens, heads, size]);
  return x.mul(cos).add(halves.mul(sin));
}

/** Mean cross-entropy of the next token over the first T - 1 positions, as transformers' Llama with labels = input_ids. */
function makeLoss(shape: Shape, layout: Layout) {
  const { hiddenSize, heads, kvHeads, layers, tokens: length } = shape;
  const size = hiddenSize / heads;
  const product = (x: np.Array, weight: np.Array): np.Array =>
    np.matmul(x, layout === 'in-out' ? weight : weight.transpose());
  return (lora: Arrays, frozen: Arrays, inputs: Arrays): np.Array => {
    const take = (from: Arrays, name: string): np.Array => from[name]!.ref;
    const linear = (x: np.Array, path: string): np.Array => {
      const low = product(x.ref, take(lora, `base_model.model.${path}.lora_A.weight`));
      const delta = product(low, take(lora, `base_model.model.${path}.lora_B.weight`)).mul(LORA_ALPHA / RANK);
      return product(x, take(frozen, `${path}.weight`)).add(delta);
    };
    let x = np.take(take(frozen, 'model.embed_tokens.weight'), take(inputs, 'tokens'), 0);
    for (let i = 0; i < layers; i++) {
      const path = `model.layers.${i}`;
      const normed = rmsNorm(x.ref, take(frozen, `${path}.input_layernorm.weight`));
      const q = linear(normed.ref, `${path}.self_attn.q_proj`).reshape([length, heads, size]);
      const k = linear(normed.ref, `${path}.self_attn.k_proj`).reshape([length, kvHeads, size]);
      const v = linear(normed, `${path}.self_attn.v_proj`).reshape([length, kvHeads, size]);
      const attended = nn.dotProductAttention(
        rotary(q, take(inputs, 'cos'), take(inputs, 'sin')),
        rotary(k, take(inputs, 'cos'), take(inputs, 'sin')),
        v,
        { isCausal: true },
      );
      x = x.add(linear(attended.reshape([length, hiddenSize]), `${path}.self_attn.o_proj`));
      const middle = rmsNorm(x.ref, take(frozen, `${path}.post_attention_layernorm.weight`));
      const gate = nn.silu(linear(middle.ref, `${path}.mlp.gate_proj`));
      x = x.add(linear(gate.mul(linear(middle, `${path}.mlp.up_proj`)), `${path}.mlp.down_proj`));
    }
    x = rmsNorm(x, take(frozen, 'model.norm.weight'));
    const logits = product(x, take(frozen, 'lm_head.weight'));
    // Selecting by comparison, not by a one-hot matrix product, which would build V x V.
    const isTarget = np.equal(
      np.arange(shape.vocabSize).reshape([1, shape.vocabSize]),
      take(inputs, 'targets').reshape([length, 1]),
    );
    const targetLogits = np.sum(np.where(isTarget, logits.ref, 0), -1);
    const losses = nn.logsumexp(logits, -1).sub(targetLogits);
    const loss = np.sum(losses.mul(take(inputs, 'weights')));
    tree.dispose([lora, frozen, inputs]);
    return loss;
  };
}

interface State {
  lora: Arrays;
  m: Arrays;
  v: Arrays;
}

/** The jax-js side: forward, backward and AdamW in one jitted function, every linear layer in the same layout. */
export async function createJaxStep(work: Work, layout: Layout): Promise<Side> {
  const available = await init('webgpu');
  if (!available.includes('webgpu')) throw new Error('jax-js found no WebGPU.');
  defaultDevice('webgpu');
  const { shape } = work;

  const toArray = ({ data, shape: dims }: Matrix): np.Array => np.array(data, { shape: [...dims] });
  const laid = (from: Map<string, Matrix>): [string, Matrix][] =>
    [...from].map(([k, matrix]) => [k, layout === 'in-out' && isLinear(k, matrix) ? transposed(matrix) : matrix]);
  const toArrays = (from: [string, Matrix][]): Arrays =>
    Object.fromEntries(from.map(([k, matrix]) => [k, toArray(matrix)]));
  const zeros = ({ data, shape: dims }: Matrix): Matrix => ({ shape: dims, data: new Float32Array(data.length) });

  const frozen = toArrays(laid(work.weights));
  const embedding = work.weights.get('model.embed_tokens.weight')!;
  // A tied head is looked up by row and multiplied by column: the layout that is multiplied as it lies is a second copy.
  if (shape.tieWordEmbeddings)
    frozen['lm_head.weight'] =
      layout === 'in-out' ? toArray(transposed(embedding)) : frozen['model.embed_tokens.weight']!.ref;
  const adapter = laid(work.adapter);
  const zero = adapter.map(([k, matrix]): [string, Matrix] => [k, zeros(matrix)]);
  let state: State = { lora: toArrays(adapter), m: toArrays(zero), v: toArrays(zero) };
  const inputs = makeInputs(work);
  const valueAndGradient = valueAndGrad(makeLoss(shape, layout));
  const { beta1, beta2, epsilon, weightDecay, learningRate } = ADAMW;

  /** correction: [1 / (1 - beta1^t), 1 / sqrt(1 - beta2^t)]. */
  const update = jit(
    (lora: Arrays, m: Arrays, v: Arrays, base: Arrays, input: Arrays, first: np.Array, second: np.Array) => {
      const [loss, gradients] = valueAndGradient(tree.ref(lora), base, input) as [np.Array, Arrays];
      const next: State = { lora: {}, m: {}, v: {} };
      for (const name of Object.keys(lora)) {
        const g = gradients[name]!;
        const newM = m[name]!.mul(beta1).add(g.ref.mul(1 - beta1));
        const newV = v[name]!.mul(beta2).add(np.square(g).mul(1 - beta2));
        const direction = newM.ref.mul(first.ref).div(np.sqrt(newV.ref).mul(second.ref).add(epsilon));
        next.lora[name] = lora[name]!.mul(1 - learningRate * weightDecay).sub(direction.mul(learningRate));
        next.m[name] = newM;
        next.v[name] = newV;
      }
      first.dispose();
      second.dispose();
      return [loss, next.lora, next.m, next.v] as [np.Array, Arrays, Arrays, Arrays];
    },
  );

  await blockUntilReady([frozen, state.lora, state.m, state.v, inputs]);
  let count = 0;
  return {
    device: getWebGPUDevice(),
    stats: () => ({}),
    async step() {
      count++;
      const first = np.array(new Float32Array([1 / (1 - beta1 ** count)]), { shape: [] });
      const second = np.array(new Float32Array([1 / Math.sqrt(1 - beta2 ** count)]), { shape: [] });
      const [loss, lora, m, v] = update(
        state.lora,
        state.m,
        state.v,
        tree.ref(frozen),
        tree.ref(inputs),
        first,
        second,
      );
      state = { lora, m, v };
      await blockUntilReady([lora, m, v]);
      return (await loss.data())[0]!;
    },
  };
}

/** Token ids, targets shifted by one, weights 1 / (T - 1) without the last position, and the rotary tables. */
function makeInputs({ shape, tokens }: Work): Arrays {
  const { tokens: length, hiddenSize, heads } = shape;
  const size = hiddenSize / heads;
  const half = size / 2;
  const targets = Int32Array.from({ length }, (_, i) => tokens[i + 1] ?? 0);
  const weights = Float32Array.from({ length }, (_, i) => (i + 1 < length ? 1 / (length - 1) : 0));
  const cos = new Float32Array(length * size);
  const sin = new Float32Array(length * size);
  for (let position = 0; position < length; position++) {
    for (let i = 0; i < size; i++) {
      const angle = position * ROPE_THETA ** (-(2 * (i % half)) / size);
      cos[position * size + i] = Math.cos(angle);
      sin[position * size + i] = Math.sin(angle) * (i < half ? -1 : 1);
    }
  }
  return {
    tokens: np.array(tokens, { shape: [length], dtype: np.int32 }),
    targets: np.array(targets, { shape: [length], dtype: np.int32 }),
    weights: np.array(weights, { shape: [length] }),
    cos: np.array(cos, { shape: [length, 1, size] }),
    sin: np.array(sin, { shape: [length, 1, size] }),
  };
}
