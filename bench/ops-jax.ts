import { blockUntilReady, defaultDevice, getWebGPUDevice, init, jit, lax, nn, numpy as np, vjp } from '@jax-js/jax';
import { attentionData, convData, sideAfter, turned } from './ops-work.ts';
import type { AttentionCase, ConvCase, Direction, OpCase, OpSide, Values } from './ops-work.ts';

// jax-js counts references: a function consumes its arguments, and `.ref` keeps one for a second use.

interface Work {
  arrays: np.Array[];
  /** Consumes its arguments; traced once by jit. */
  compute: (...arrays: np.Array[]) => np.Array[];
  /** Rows as our side gives them. */
  rows: (values: Values[]) => Values;
}

const array = (values: Values, shape: number[]): np.Array => np.array(values, { shape });

/** Channels before pixels, as jax's convolution wants them. */
function convWork(work: ConvCase, direction: Direction): Work {
  const { images, height, width, channels, outChannels, kernel, stride } = work;
  const { x, weight, dy } = convData(work);
  const around = (kernel - 1) >> 1;
  const [outHeight, outWidth] = [sideAfter(height, work), sideAfter(width, work)];
  const w = array(turned(weight, outChannels, kernel * kernel, channels), [outChannels, channels, kernel, kernel]);
  const zeros: [number, number][] = [
    [around, around],
    [around, around],
  ];
  const conv = (picture: np.Array, weights: np.Array): np.Array =>
    lax.convGeneralDilated(picture, weights, [stride, stride], zeros);
  if (direction === 'forward') {
    return {
      arrays: [array(turned(x, images, height * width, channels), [images, channels, height, width]), w],
      compute: (picture, weights) => [conv(picture!, weights!)],
      rows: ([y]) => turned(y!, images, outChannels, outHeight * outWidth),
    };
  }
  const upper = array(turned(dy, images, outHeight * outWidth, outChannels), [
    images,
    outChannels,
    outHeight,
    outWidth,
  ]);
  return {
    arrays: [np.zeros([images, channels, height, width]), w, upper],
    compute(picture, weights, dOut) {
      const [y, backward] = vjp((given: np.Array) => conv(given, weights!), [picture!]);
      y.dispose();
      const [dx] = backward(dOut!) as [np.Array];
      backward.dispose();
      return [dx];
    },
    rows: ([dx]) => turned(dx!, images, channels, height * width),
  };
}

function attentionWork(work: AttentionCase, direction: Direction): Work {
  const { queries, keys, heads, headDim } = work;
  const { q, k, v, dO } = attentionData(work);
  const arrays = [
    array(q, [queries, heads, headDim]),
    array(k, [keys, heads, headDim]),
    array(v, [keys, heads, headDim]),
  ];
  const attend = (...[query, key, value]: np.Array[]): np.Array => nn.dotProductAttention(query!, key!, value!);
  if (direction === 'forward') return { arrays, compute: (...given) => [attend(...given)], rows: ([o]) => o! };
  return {
    arrays: [...arrays, array(dO, [queries, heads, headDim])],
    compute(query, key, value, dOut) {
      const [o, backward] = vjp(attend, [query!, key!, value!]);
      const gradients = backward(dOut!) as np.Array[];
      backward.dispose();
      return [...gradients, o];
    },
    rows([dq, dk, dv]) {
      const joined = new Float32Array(dq!.length + dk!.length + dv!.length);
      joined.set(dq!);
      joined.set(dk!, dq!.length);
      joined.set(dv!, dq!.length + dk!.length);
      return joined;
    },
  };
}

/** The jax-js side: its own operation, jitted, in its own layout. */
export async function createJaxOp(work: OpCase, direction: Direction): Promise<OpSide> {
  const available = await init('webgpu');
  if (!available.includes('webgpu')) throw new Error('jax-js found no WebGPU.');
  defaultDevice('webgpu');
  const { arrays, compute, rows } = work.kind === 'conv' ? convWork(work, direction) : attentionWork(work, direction);
  const jitted = jit(compute);
  await blockUntilReady(arrays);
  let last: np.Array[] = [];
  return {
    device: getWebGPUDevice(),
    async run() {
      const made = jitted(...arrays.map((each) => each.ref));
      for (const each of last) each.dispose();
      last = made;
      await blockUntilReady(made);
    },
    async result() {
      const values: Values[] = [];
      for (const each of last) values.push((await each.ref.data()) as Values);
      return rows(values);
    },
    destroy() {
      for (const each of [...arrays, ...last]) each.dispose();
      jitted.dispose();
    },
  };
}
