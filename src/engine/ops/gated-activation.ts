import type { Activation, GatePlace } from '../kernels/gated_activation.ts';
import { gatedActivation, gatedActivationBackward } from '../kernels/gated_activation.ts';
import type { Tensor } from '../tensor.ts';
import { matrix } from '../tensor.ts';
import type { Op, OpDefinition, Operand } from './types.ts';

declare module './types.ts' {
  interface OpTypes {
    /** y = act(x[:, :F]) · x[:, F:] with the gate first, y = x[:, :F] · act(x[:, F:]) with the gate second */
    gatedActivation: Op<{ x: Tensor }, { activation: Activation; gate: GatePlace }, { y: Tensor }>;
    gatedActivationBackward: Op<{ dy: Tensor; x: Tensor }, { activation: Activation; gate: GatePlace }, { dx: Tensor }>;
  }
}

export const gatedActivationOp: OpDefinition<'gatedActivation'> = {
  outputs({ x }) {
    const { rows, columns } = matrix(x);
    if (columns % 2 !== 0) throw new Error(`gatedActivation: an even number of columns, not ${columns}`);
    return { y: { shape: [rows, columns / 2] } };
  },
  // d gate = dy up act'(gate); d up = dy act(gate)
  gradient({ graph, inputs, attributes, gradient, accumulate }) {
    const dy = gradient('y');
    if (!dy) return;
    accumulate('x', (previous) => {
      const { dx } = graph.emit('gatedActivationBackward', { dy, x: inputs.x }, attributes);
      return previous ? graph.add(previous, dx) : dx;
    });
  },
  kernels({ inputs, outputs, attributes, target }) {
    const { rows, columns } = matrix(inputs.x);
    return gatedActivation<Operand>(target, { rows, width: columns / 2, ...attributes }, { x: inputs.x, y: outputs.y });
  },
};

export const gatedActivationBackwardOp: OpDefinition<'gatedActivationBackward'> = {
  outputs: ({ x }) => ({ dx: { shape: x.shape } }),
  gradient: 'none',
  kernels({ inputs, outputs, attributes, target }) {
    const { rows, columns } = matrix(inputs.x);
    return gatedActivationBackward<Operand>(
      target,
      { rows, width: columns / 2, ...attributes },
      { ...inputs, dx: outputs.dx },
    );
  },
};
