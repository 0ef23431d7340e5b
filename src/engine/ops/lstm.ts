import type { KernelCall } from '../kernels/kernel.ts';
import { isWhole, lstm } from '../kernels/lstm.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix, weightType } from '../tensor.ts';
import { copyColumns } from './elementwise.ts';
import { expectColumns } from './linear.ts';
import type { Op, OpDefinition, Operand } from './types.ts';

declare module './types.ts' {
  interface OpTypes {
    /**
     * One layer of an LSTM (Hochreiter and Schmidhuber, 1997) from left to right, gates i, f, g, o as in torch. x
     * [clips · length, 4H] is W_ih input + b_ih + b_hh, the weight W_hh [4H, H]. y [clips · length, H] are all h; h and c
     * [clips, H] the last ones, which the next chunk is given as h0 and c0 (they may be the same states). Without h0 and c0: from 0.
     */
    lstm: Op<
      { x: Tensor; weight: Tensor; h0?: Tensor; c0?: Tensor },
      { clips: number; length: number },
      { y: Tensor; h: Tensor; c: Tensor }
    >;
  }
}

/** What the input contributes to the gates is a product over all steps and done before; only the recurrent part waits. */
export const lstmOp: OpDefinition<'lstm'> = {
  outputs({ x, weight, h0, c0 }, { clips, length }) {
    const { rows, columns: hidden } = matrix(weight);
    if (rows !== 4 * hidden) throw new Error(`lstm: ${weight.label} is ${rows} × ${hidden}, not four gates of H × H`);
    if (weight.parts) throw new Error('lstm: a weight larger than one binding is not supported');
    expectColumns('lstm', x, 4 * hidden);
    if (matrix(x).rows !== clips * length)
      throw new Error(`lstm: ${x.label} has ${matrix(x).rows} rows, not ${clips} clips of ${length}`);
    if (!h0 !== !c0) throw new Error('lstm: h0 and c0 go together');
    for (const tensor of [h0, c0]) {
      if (tensor && elementCount(tensor.shape) !== clips * hidden)
        throw new Error(`lstm: ${tensor.label} is [${tensor.shape.join()}], not [${clips},${hidden}]`);
    }
    const last = { shape: [clips, hidden] };
    return { y: { shape: [clips * length, hidden] }, h: last, c: last };
  },
  gradient: 'none',
  kernels({ inputs: { x, weight, h0, c0 }, outputs: { y, h, c }, attributes: { clips, length }, target, temporary }) {
    const { columns: hidden } = matrix(weight);
    const shape = { clips, length, hidden, weightType: weightType(weight) };
    const calls: KernelCall<Operand>[] = [];
    if (c0 && c0 !== c) calls.push(copyColumns(c0, c, 0, 0, hidden));
    const steps = isWhole(shape) ? length : 1;
    // h goes back and forth between two tensors: a dispatch cannot read and write one buffer.
    const turns = length > steps ? [temporary([clips, hidden]), temporary([clips, hidden])] : [];
    let before = h0;
    for (let begin = 0; begin < length; begin += steps) {
      const isLast = begin + steps >= length;
      const after = !isLast ? turns[begin % 2]! : before === h ? temporary([clips, hidden]) : h;
      calls.push(
        lstm<Operand>(
          target,
          { ...shape, begin, steps, started: before !== undefined },
          // Without anything before, x stands in and is not read.
          { x, w: weight, scales: weight.scales, before: before ?? x, y, after, c },
        ),
      );
      before = after;
    }
    if (before && before !== h) calls.push(copyColumns(before, h, 0, 0, hidden));
    return calls;
  },
};
