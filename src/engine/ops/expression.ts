/**
 * Elementwise expressions: what the `map` op computes, as data, so that chains fuse by substitution and derivatives are
 * taken symbolically.
 */
export type Unary = 'neg' | 'exp' | 'expm1' | 'log' | 'sqrt' | 'tanh' | 'sigmoid' | 'erf' | 'relu' | 'positive';
export type Binary = 'add' | 'sub' | 'mul' | 'div';
export type Expression =
  | { readonly kind: 'operand'; readonly index: number }
  | { readonly kind: 'constant'; readonly value: number }
  /** How much of the adapter is applied in this run: the step's `strength`. */
  | { readonly kind: 'strength' }
  | { readonly kind: Unary; readonly a: Expression }
  | { readonly kind: Binary; readonly a: Expression; readonly b: Expression };

export const operand = (index: number): Expression => ({ kind: 'operand', index });
export const constant = (value: number): Expression => ({ kind: 'constant', value });
export const strength: Expression = { kind: 'strength' };
export const unary = (kind: Unary, a: Expression): Expression => ({ kind, a });

const isConstant = (e: Expression, value: number): boolean => e.kind === 'constant' && e.value === value;

/** Builds a binary expression, leaving out what changes nothing. */
export function binary(kind: Binary, a: Expression, b: Expression): Expression {
  if (kind === 'add' && isConstant(a, 0)) return b;
  if ((kind === 'add' || kind === 'sub') && isConstant(b, 0)) return a;
  if (kind === 'mul' && (isConstant(a, 0) || isConstant(b, 0))) return constant(0);
  if (kind === 'mul' && isConstant(a, 1)) return b;
  if ((kind === 'mul' || kind === 'div') && isConstant(b, 1)) return a;
  return { kind, a, b };
}

/** x σ(x) */
export const silu = (x: Expression): Expression => binary('mul', x, unary('sigmoid', x));

/** x σ(1.702 x), the approximation of GELU in OpenAI's CLIP (Hendrycks and Gimpel, arXiv:1606.08415). */
export const quickGelu = (x: Expression): Expression =>
  binary('mul', x, unary('sigmoid', binary('mul', constant(1.702), x)));

/** x (1 + erf(x / √2)) / 2, the exact GELU. */
export const gelu = (x: Expression): Expression =>
  binary(
    'mul',
    binary('mul', constant(0.5), x),
    binary('add', constant(1), unary('erf', binary('mul', constant(Math.SQRT1_2), x))),
  );

/** The tanh form of GELU: (1 + tanh u) / 2 is σ(2u) with u = √(2/π) (x + 0.044715 x³). */
export const geluTanh = (x: Expression): Expression => {
  const cubic = binary('mul', constant(0.044715), binary('mul', x, binary('mul', x, x)));
  const twice = binary('mul', constant(2 * Math.sqrt(2 / Math.PI)), binary('add', x, cubic));
  return binary('mul', x, unary('sigmoid', twice));
};

/** max(x, 0); its slope at 0 is 0, as torch has it. */
export const relu = (x: Expression): Expression => unary('relu', x);

/** x where it is positive, alpha (exp(x) - 1) elsewhere (Clevert, Unterthiner and Hochreiter, arXiv:1511.07289). */
export const elu = (x: Expression, alpha = 1): Expression => {
  const least = binary('sub', x, relu(x));
  return binary('add', relu(x), binary('mul', constant(alpha), unary('expm1', least)));
};

/** Local derivatives with respect to a (and b), of e = kind(a, b). */
const UNARY_RULES: { readonly [K in Unary]: (a: Expression, e: Expression) => Expression } = {
  neg: () => constant(-1),
  exp: (_, e) => e,
  // exp(a) = e + 1
  expm1: (_, e) => binary('add', e, constant(1)),
  log: (a) => binary('div', constant(1), a),
  sqrt: (_, e) => binary('div', constant(0.5), e),
  // 1 - tanh²
  tanh: (_, e) => binary('sub', constant(1), binary('mul', e, e)),
  // σ (1 - σ)
  sigmoid: (_, e) => binary('mul', e, binary('sub', constant(1), e)),
  // 2/√π exp(-a²)
  erf: (a) => binary('mul', constant(2 / Math.sqrt(Math.PI)), unary('exp', unary('neg', binary('mul', a, a)))),
  relu: (a) => unary('positive', a),
  // 1 where a > 0, else 0
  positive: () => constant(0),
};

const BINARY_RULES: {
  readonly [K in Binary]: (a: Expression, b: Expression, e: Expression) => [Expression, Expression];
} = {
  add: () => [constant(1), constant(1)],
  sub: () => [constant(1), constant(-1)],
  mul: (a, b) => [b, a],
  // a/b: 1/b and -(a/b)/b
  div: (_, b, e) => [binary('div', constant(1), b), unary('neg', binary('div', e, b))],
};

/** ∂e / ∂operand(index) */
export function derivative(e: Expression, index: number): Expression {
  switch (e.kind) {
    case 'operand':
      return constant(e.index === index ? 1 : 0);
    case 'constant':
    case 'strength':
      return constant(0);
    case 'add':
    case 'sub':
    case 'mul':
    case 'div': {
      const [da, db] = BINARY_RULES[e.kind](e.a, e.b, e);
      return binary('add', binary('mul', da, derivative(e.a, index)), binary('mul', db, derivative(e.b, index)));
    }
    default:
      return binary('mul', UNARY_RULES[e.kind](e.a, e), derivative(e.a, index));
  }
}

/** Replaces operands by expressions. */
export function substitute(e: Expression, replace: (index: number) => Expression): Expression {
  switch (e.kind) {
    case 'operand':
      return replace(e.index);
    case 'constant':
    case 'strength':
      return e;
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return binary(e.kind, substitute(e.a, replace), substitute(e.b, replace));
    default:
      return unary(e.kind, substitute(e.a, replace));
  }
}

const SYMBOLS: Readonly<Record<Binary, string>> = { add: '+', sub: '-', mul: '*', div: '/' };

/** WGSL over the variables x0, x1, … of type V (f32 or vec4<f32>). */
export function toWgsl(e: Expression): string {
  switch (e.kind) {
    case 'operand':
      return `x${e.index}`;
    case 'constant': {
      const text = String(e.value);
      return `V(${/[.e]/.test(text) ? text : `${text}.0`})`;
    }
    case 'strength':
      return 'V(step.strength)';
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return `(${toWgsl(e.a)} ${SYMBOLS[e.kind]} ${toWgsl(e.b)})`;
    case 'neg':
      return `(-${toWgsl(e.a)})`;
    case 'sigmoid':
      return `(V(1.0) / (V(1.0) + exp(-${toWgsl(e.a)})))`;
    // tanh overflows to NaN in some drivers' exp form; beyond 15 it is 1 in f32 anyway.
    case 'tanh':
      return `tanh(clamp(${toWgsl(e.a)}, V(-15.0), V(15.0)))`;
    case 'relu':
      return `max(${toWgsl(e.a)}, V(0.0))`;
    case 'positive':
      return `select(V(0.0), V(1.0), ${toWgsl(e.a)} > V(0.0))`;
    default:
      return `${e.kind}(${toWgsl(e.a)})`;
  }
}

/** How many operations one element costs. */
export function operations(e: Expression): number {
  if (e.kind === 'operand' || e.kind === 'constant' || e.kind === 'strength') return 0;
  return 1 + operations(e.a) + ('b' in e ? operations(e.b) : 0);
}

/** Whether a kind of expression occurs anywhere in e. */
export function uses(e: Expression, kind: Expression['kind']): boolean {
  if (e.kind === kind) return true;
  return ('a' in e && uses(e.a, kind)) || ('b' in e && uses(e.b, kind));
}

export const usesStrength = (e: Expression): boolean => uses(e, 'strength');
