import type { Activation } from '../../engine/kernels/gated_activation.ts';
import type { Expression } from '../../engine/ops/expression.ts';
import { binary, constant, gelu, geluTanh, quickGelu, relu, silu, unary } from '../../engine/ops/expression.ts';
import type { ConfigReader } from '../files/config-reader.ts';

const times = (factor: number, e: Expression): Expression => binary('mul', constant(factor), e);
const squared = (e: Expression): Expression => binary('mul', e, e);

/** min(max(x, 0), 6) */
const relu6 = (x: Expression): Expression => binary('sub', relu(x), relu(binary('sub', x, constant(6))));

/**
 * log(1 + z) for z from 0 to 1 as 2 artanh(z / (2 + z)), whose series is exact to 1e-8 here. A logarithm of the sum would lose
 * small z, and the slope of a root of it with them.
 */
const log1p = (z: Expression): Expression => {
  const s = binary('div', z, binary('add', constant(2), z));
  const square = squared(s);
  let series: Expression = constant(1 / 13);
  for (const odd of [11, 9, 7, 5, 3, 1]) series = binary('add', constant(1 / odd), binary('mul', square, series));
  return times(2, binary('mul', s, series));
};

/** log(1 + eˣ) as max(x, 0) + log(1 + e^-|x|), which does not overflow. */
const softplus = (x: Expression): Expression => {
  const magnitude = binary('add', relu(x), relu(unary('neg', x)));
  return binary('add', relu(x), log1p(unary('exp', unary('neg', magnitude))));
};

/** (1 + erf((x - μ) / (σ √2))) / 2 with the numbers of MEGA (Ma et al., arXiv:2209.10655), as transformers has them */
const laplace = (x: Expression): Expression => {
  const standard = times(1 / (0.282095 * Math.SQRT2), binary('sub', x, constant(0.707107)));
  return times(0.5, binary('add', constant(1), unary('erf', standard)));
};

/** transformers' activations by their names, but for those with parameters of their own (prelu, xielu). */
const KNOWN = {
  gelu,
  // Clipped to -10 … 10; gelu never falls below -0.17.
  gelu_10: (x) => binary('sub', gelu(x), relu(binary('sub', gelu(x), constant(10)))),
  gelu_accurate: geluTanh,
  gelu_fast: geluTanh,
  gelu_new: geluTanh,
  gelu_python: gelu,
  gelu_python_tanh: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  hardswish: (x) => binary('mul', x, times(1 / 6, relu6(binary('add', x, constant(3))))),
  laplace,
  leaky_relu: (x) => binary('sub', relu(x), times(0.01, relu(unary('neg', x)))),
  linear: (x) => x,
  mish: (x) => binary('mul', x, unary('tanh', softplus(x))),
  quick_gelu: quickGelu,
  relu,
  relu2: (x) => squared(relu(x)),
  relu6,
  sigmoid: (x) => unary('sigmoid', x),
  silu,
  sqrtsoftplus: (x) => unary('sqrt', softplus(x)),
  swish: silu,
  tanh: (x) => unary('tanh', x),
} satisfies Readonly<Record<string, (x: Expression) => Expression>>;

export type ActivationName = keyof typeof KNOWN;

export const ACTIVATIONS: Readonly<Record<ActivationName, (x: Expression) => Expression>> = KNOWN;

/** Those that a gated layer computes in one kernel, by its name for them. */
const GATED = new Map<(x: Expression) => Expression, Activation>([
  [silu, 'silu'],
  [gelu, 'gelu'],
  [geluTanh, 'gelu_tanh'],
  [relu, 'relu'],
]);

const names = Object.keys(KNOWN) as ActivationName[];

/** The activation that a field names. Throws UserError for what transformers does not have, or is not supported. */
export function parseActivation(
  config: ConfigReader,
  field: string,
  name: unknown,
  supported: readonly ActivationName[] = names,
): ActivationName {
  const found = supported.find((each) => each === name);
  if (found === undefined) throw config.wrong(field, `supported are ${supported.join(', ')}`);
  return found;
}

/** The same where it is a gate's, as gated layers take it. */
export function parseGatedActivation(config: ConfigReader, field: string, name: unknown): Activation {
  const gated = names.filter((each) => GATED.has(KNOWN[each]));
  return GATED.get(KNOWN[parseActivation(config, field, name, gated)])!;
}
