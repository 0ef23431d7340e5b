import type { KernelCall, KernelTarget } from './kernel.ts';
import { columnRowGrid, vectorWidth } from './lanes.ts';

/** As in the hub's `hidden_act`: gelu is the exact one with erf, gelu_tanh its approximation (gelu_pytorch_tanh). */
export type Activation = 'silu' | 'gelu' | 'gelu_tanh' | 'relu';

/** Which half of a row goes through the activation: gate | up as language models have it, or up | gate (GEGLU). */
export type GatePlace = 'first' | 'second';

export interface GatedActivationShape {
  rows: number;
  /** F: columns of gate, and of up; the packed input has 2F */
  width: number;
  activation: Activation;
  gate: GatePlace;
}

const LANES = 64;

function common(shape: GatedActivationShape) {
  const vector = vectorWidth(shape.width);
  const width = shape.width / vector;
  return {
    defines: { WG: LANES, VECTOR: vector, ACTIVATION: shape.activation, GATE: shape.gate },
    params: { rows: shape.rows, width },
    grid: columnRowGrid(Math.ceil(width / LANES), shape.rows),
    elements: shape.rows * shape.width,
  };
}

/** y[rows, F] = act(gate) · up for x[rows, 2F] (Shazeer 2020, 2002.05202). */
export function gatedActivation<T>(
  _target: KernelTarget,
  shape: GatedActivationShape,
  buffers: { x: T; y: T },
): KernelCall<T>[] {
  const { elements, ...call } = common(shape);
  return [{ shader: 'gated_activation', ...call, buffers, flops: 8 * elements, bytes: 12 * elements }];
}

/** dgate = dy · up · act'(gate) and dup = dy · act(gate), in dx[rows, 2F] as gate and up lie in x. */
export function gatedActivationBackward<T>(
  _target: KernelTarget,
  shape: GatedActivationShape,
  buffers: { x: T; dy: T; dx: T },
): KernelCall<T>[] {
  const { elements, ...call } = common(shape);
  return [{ shader: 'gated_activation_backward', ...call, buffers, flops: 14 * elements, bytes: 20 * elements }];
}
