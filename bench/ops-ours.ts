import { concatFloats } from '../src/common/floats.ts';
import { Device } from '../src/engine/device.ts';
import { makeTensor } from '../src/engine/graph.ts';
import { attention, attentionBackward, attentionParts, attentionStats } from '../src/engine/kernels/attention.ts';
import type { AttentionBackwardShape } from '../src/engine/kernels/attention.ts';
import { conv2d, conv2dBackward } from '../src/engine/kernels/conv2d.ts';
import type { KernelCall, KernelTarget } from '../src/engine/kernels/kernel.ts';
import { linear, linearBackward } from '../src/engine/kernels/matmul.ts';
import type { Operand } from '../src/engine/ops/types.ts';
import { TILED_HEAD, wideAttention } from '../src/engine/ops/wide-attention.ts';
import { Program, ProgramPlan } from '../src/engine/program.ts';
import { byteSize, matrix } from '../src/engine/tensor.ts';
import type { Tensor } from '../src/engine/tensor.ts';
import { IDLE_STEP } from '../src/engine/wgsl.ts';
import { attentionData, convData, sideAfter } from './ops-work.ts';
import type { AttentionCase, ConvCase, Direction, OpCase, OpSide, Values } from './ops-work.ts';

/** Kernels over tensors that stay, what they hold at first, and the results' matrices with their columns. */
interface Work {
  calls: KernelCall<Operand>[];
  data: Map<Tensor, Values | Uint32Array<ArrayBuffer>>;
  results: { tensor: Tensor; offset: number; columns: number }[];
}

const matrixOf = (key: string, rows: number, columns: number, dtype: 'f32' | 'u32' = 'f32'): Tensor =>
  makeTensor('state', { shape: [rows, columns], dtype }, key);

const whole = (tensor: Tensor): Work['results'] => [{ tensor, offset: 0, columns: matrix(tensor).columns }];

/** As the models' layers choose: a 1 by 1 convolution is a linear layer. */
function convWork(work: ConvCase, direction: Direction, target: KernelTarget): Work {
  const { images, height, width, channels, outChannels, kernel, stride } = work;
  const { x, weight, dy } = convData(work);
  const [m, out] = [images * height * width, images * sideAfter(height, work) * sideAfter(width, work)];
  const input = matrixOf('x', m, channels);
  const w = matrixOf('w', outChannels, kernel * kernel * channels);
  const output = matrixOf('y', out, outChannels);
  const around = (kernel - 1) >> 1;
  const shape = {
    ...{ images, height, width, channels, outChannels, stride, weightType: 'f32' as const },
    kernel: [kernel, kernel] as const,
    padding: [around, around, around, around] as const,
  };
  const product = { m, n: outChannels, k: channels, weightType: 'f32' } as const;
  const isLinear = kernel === 1 && stride === 1;
  if (direction === 'forward') {
    const buffers = { x: input, w, y: output };
    return {
      calls: [isLinear ? linear<Operand>(buffers, product, target) : conv2d<Operand>(buffers, shape, target)],
      data: new Map([
        [input, x],
        [w, weight],
      ]),
      results: whole(output),
    };
  }
  const buffers = { dy: output, w, dx: input };
  const call = isLinear
    ? linearBackward<Operand>(buffers, product, target)
    : conv2dBackward<Operand>(buffers, shape, target);
  return {
    calls: [call],
    data: new Map([
      [output, dy],
      [w, weight],
    ]),
    results: whole(input),
  };
}

/** Matrices of the same rows side by side. */
function beside(rows: number, ...parts: readonly Values[]): Values {
  const widths = parts.map((part) => part.length / rows);
  const stride = widths.reduce((sum, each) => sum + each, 0);
  const out = new Float32Array(rows * stride);
  let at = 0;
  parts.forEach((part, i) => {
    const columns = widths[i]!;
    for (let r = 0; r < rows; r++) out.set(part.subarray(r * columns, (r + 1) * columns), r * stride + at);
    at += columns;
  });
  return out;
}

/** As the UNet has it: q | k | v one matrix in self attention, q and k | v in cross attention. */
function attentionWork(work: AttentionCase, direction: Direction, target: KernelTarget): Work {
  const { queries, keys, heads, headDim, isCross } = work;
  const width = heads * headDim;
  const { q, k, v, dO } = attentionData(work);
  const from = isCross ? 0 : width;
  const kv = isCross ? matrixOf('kv', keys, 2 * width) : matrixOf('qkv', queries, 3 * width);
  const query = isCross ? matrixOf('q', queries, width) : kv;
  const o = matrixOf('o', queries, width);
  const lse = matrixOf('lse', heads, queries);
  const ranges = (key: string, rows: number, end: number): [Tensor, Uint32Array<ArrayBuffer>] => [
    matrixOf(key, rows, 2, 'u32'),
    Uint32Array.from({ length: 2 * rows }, (_, i) => (i % 2 === 0 ? 0 : end)),
  ];
  const [keyRanges, keyRangeValues] = ranges('keyRanges', queries, keys);
  const data: Work['data'] = new Map<Tensor, Values | Uint32Array<ArrayBuffer>>([
    [keyRanges, keyRangeValues],
    [kv, isCross ? beside(keys, k, v) : beside(queries, q, k, v)],
  ]);
  if (isCross) data.set(query, q);
  const scale = headDim ** -0.5;
  if (headDim > TILED_HEAD) {
    if (direction === 'gradient') throw new Error('Heads so wide are computed forward only.');
    const attributes = { heads, kvHeads: heads, headDim, scale, qOffset: 0, kOffset: from, vOffset: from + width };
    const temporary = (shape: readonly number[]): Tensor => makeTensor('intermediate', { shape });
    const tensors = { q: query, k: kv, v: kv, keyRanges, o, lse };
    return { calls: wideAttention(target, { ...attributes, density: 1 }, tensors, temporary), data, results: whole(o) };
  }
  const stride = matrix(kv).columns;
  const columns = { q: { stride: isCross ? width : stride, offset: 0 }, k: { stride, offset: from } };
  const own = { stride: width, offset: 0 };
  const shape: AttentionBackwardShape = {
    ...{ queries, keys, heads, kvHeads: heads, headDim, scale, ...columns },
    ...{ v: { stride, offset: from + width }, o: own, dO: own },
    ...{ dq: columns.q, dk: columns.k, dv: { stride, offset: from + width } },
  };
  const calls = attention<Operand>(target, shape, { q: query, k: kv, v: kv, keyRanges, o, lse });
  if (direction === 'forward') return { calls, data, results: whole(o) };
  const given = matrixOf('dO', queries, width);
  const [queryRanges, queryRangeValues] = ranges('queryRanges', keys, queries);
  data.set(given, dO).set(queryRanges, queryRangeValues);
  const dkv = isCross ? matrixOf('dkv', keys, 2 * width) : matrixOf('dqkv', queries, 3 * width);
  const dq = isCross ? matrixOf('dq', queries, width) : dkv;
  const stats = makeTensor('intermediate', { shape: [attentionStats(shape)] });
  const count = attentionParts(target, shape);
  const parts = count > 0 ? makeTensor('intermediate', { shape: [count] }) : undefined;
  const buffers = {
    q: query,
    k: kv,
    v: kv,
    o,
    dO: given,
    lse,
    keyRanges,
    stats,
    dq,
    queryRanges,
    dk: dkv,
    dv: dkv,
    parts,
  };
  calls.push(...attentionBackward<Operand>(target, shape, buffers));
  const places = [
    { tensor: dq, offset: 0 },
    { tensor: dkv, offset: from },
    { tensor: dkv, offset: from + width },
  ];
  return { calls, data, results: places.map((place) => ({ ...place, columns: width })) };
}

const bindingLimit = ({ info: { limits } }: Device): number =>
  Math.min(limits['maxStorageBufferBindingSize'] ?? 2 ** 27, limits['maxBufferSize'] ?? 2 ** 28);

/** Our side: the kernels that the models' layers choose, run by the executor that trains. */
export async function createOurOp(work: OpCase, direction: Direction): Promise<OpSide> {
  const device = await Device.open(navigator.gpu);
  const { target } = device;
  const { calls, data, results } =
    work.kind === 'conv' ? convWork(work, direction, target) : attentionWork(work, direction, target);
  const plan = new ProgramPlan(calls, new Map(), new Map(), bindingLimit(device));
  const states = new Map<string, GPUBuffer>();
  const kept = [...calls.flatMap(({ buffers }) => Object.values(buffers))]
    .map((operand) => ('tensor' in operand ? operand.tensor : operand))
    .filter(({ role }) => role === 'state');
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  for (const tensor of new Set(kept)) {
    const buffer = device.createBuffer(byteSize(tensor), usage, tensor.key);
    states.set(tensor.key!, buffer);
    const values = data.get(tensor);
    if (values) device.gpu.queue.writeBuffer(buffer, 0, values);
  }
  let program: Program | undefined;
  return {
    device: device.gpu,
    cost: { flops: plan.flops, bytes: plan.bytesMoved },
    async run() {
      program ??= await Program.build(device, plan, { states });
      await program.run({}, IDLE_STEP);
      await device.gpu.queue.onSubmittedWorkDone();
      device.check();
    },
    async result() {
      const found: Values[] = [];
      for (const { tensor, offset, columns } of results) {
        const all = await readBack(device, states.get(tensor.key!)!);
        const { rows, columns: stride } = matrix(tensor);
        for (let r = 0; r < rows; r++) found.push(all.subarray(r * stride + offset, r * stride + offset + columns));
      }
      return concatFloats(found);
    },
    destroy() {
      program?.destroy();
      for (const buffer of states.values()) device.destroyBuffer(buffer);
      device.gpu.destroy();
    },
  };
}

async function readBack(device: Device, source: GPUBuffer): Promise<Values> {
  const staging = device.createBuffer(source.size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  const encoder = device.gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, staging, 0, source.size);
  device.gpu.queue.submit([encoder.finish()]);
  const values = new Float32Array(await device.map(staging));
  device.destroyBuffer(staging);
  return values;
}
