import { describe, expect, test } from 'vitest';
import type { Binary, Expression, Unary } from '../../src/engine/ops/expression.ts';
import {
  binary,
  constant,
  derivative,
  elu,
  gelu,
  geluTanh,
  operand,
  operations,
  quickGelu,
  relu,
  silu,
  strength,
  substitute,
  toWgsl,
  unary,
  usesStrength,
} from '../../src/engine/ops/expression.ts';
import { erf } from '../support/erf.ts';
import { Random } from '../support/matmul.ts';
import { rounds, seeded } from '../support/seeds.ts';
import { evaluate } from './interpreter.ts';

const OPERANDS = 3;
const STRENGTH = 0.7;

/** Expressions that are smooth everywhere: logarithm, root and divisor are given something positive, relu nothing near 0. */
function randomExpression(random: Random, depth: number): Expression {
  if (depth === 0 || random.uniform() < 0.15) {
    const kind = random.int(0, 5);
    if (kind === 0) return constant([0, 1, -1, 0.5, 2, -0.25][random.int(0, 5)]!);
    if (kind === 1) return strength;
    return operand(random.int(0, OPERANDS - 1));
  }
  const inner = (): Expression => randomExpression(random, depth - 1);
  const bounded = (): Expression => unary('tanh', inner());
  const positive = (): Expression => unary('exp', bounded());
  const awayFrom0 = (): Expression => (random.uniform() < 0.5 ? positive() : unary('neg', positive()));
  const unaries: Record<Unary, () => Expression> = {
    neg: inner,
    exp: bounded,
    log: positive,
    sqrt: positive,
    tanh: inner,
    sigmoid: inner,
    erf: inner,
    expm1: bounded,
    relu: awayFrom0,
    positive: awayFrom0,
  };
  const names = Object.keys(unaries) as Unary[];
  if (random.uniform() < 0.4) {
    const kind = names[random.int(0, names.length - 1)]!;
    return unary(kind, unaries[kind]());
  }
  const kind = (['add', 'sub', 'mul', 'div'] as Binary[])[random.int(0, 3)]!;
  return binary(kind, inner(), kind === 'div' ? positive() : inner());
}

const point = (random: Random): number[] => Array.from({ length: OPERANDS }, () => 2 * random.uniform() - 1);

/** The WGSL text read as JavaScript: V is the identity, and the functions are Math's. */
function runWgsl(text: string, values: readonly number[]): number {
  const clamp = (x: number, low: number, high: number): number => Math.min(high, Math.max(low, x));
  const names = values.map((_, i) => `x${i}`);
  const select = (otherwise: number, value: number, condition: boolean): number => (condition ? value : otherwise);
  const { exp, expm1, log, max, sqrt, tanh } = Math;
  const functions = { clamp, select, exp, expm1, log, max, sqrt, tanh, erf };
  const run = new Function('V', 'step', ...Object.keys(functions), ...names, `return ${text};`) as (
    ...args: unknown[]
  ) => number;
  return run((x: number) => x, { strength: STRENGTH }, ...Object.values(functions), ...values);
}

const near = (a: number, b: number): number => Math.abs(a - b) / (1 + Math.abs(b));

describe('elementwise expressions', () => {
  /** The slope by differences with respect to one operand, and what the derivative says. */
  function slopes(random: Random) {
    const e = randomExpression(random, 5);
    const at = point(random);
    return Array.from({ length: OPERANDS }, (_, i) => {
      const h = 1e-5;
      const moved = (by: number): number =>
        evaluate(
          e,
          at.map((x, j) => (j === i ? x + by : x)),
          STRENGTH,
        );
      const slope = (moved(h) - moved(-h)) / (2 * h);
      return { slope, exact: evaluate(derivative(e, i), at, STRENGTH), text: `operand ${i}: ${toWgsl(e)}` };
    });
  }

  seeded('derivatives of 500 random expressions agree with finite differences', ({ seed }) => {
    for (let round = 0; round < rounds(500); round++) {
      for (const { slope, exact, text } of slopes(new Random(seed + round))) {
        if (Math.abs(slope) > 1e6) continue;
        expect(near(exact, slope), `seed ${seed + round}, ${text}`).toBeLessThan(1e-5);
      }
    }
  });

  test('random expressions are no constants', () => {
    // Of seeds that are written down, so that the count is always the same.
    const all = Array.from({ length: 500 }, (_, seed) => slopes(new Random(seed))).flat();
    expect(all.filter(({ slope }) => Math.abs(slope) > 1e-6 && Math.abs(slope) <= 1e6).length).toBeGreaterThan(300);
  });

  seeded('the WGSL of 300 random expressions computes what the expression says', ({ seed }) => {
    for (let round = 0; round < rounds(300); round++) {
      const random = new Random(seed + round);
      const e = randomExpression(random, 5);
      const at = point(random);
      expect(
        near(runWgsl(toWgsl(e), at), evaluate(e, at, STRENGTH)),
        `seed ${seed + round}: ${toWgsl(e)}`,
      ).toBeLessThan(1e-9);
    }
  });

  test('constants of every size stay WGSL numbers', () => {
    for (const value of [0, 1, -3, 0.1, 1e-7, 1e21, -2.5e-30]) {
      const text = /^V\((.*)\)$/.exec(toWgsl(constant(value)))![1]!;
      expect(text).toMatch(/^-?\d+(\.\d+)?(e[+-]?\d+)?$/);
      expect(text).toMatch(/[.e]/);
      expect(Number(text)).toBe(value);
    }
  });

  seeded('substitution is composition', ({ seed }) => {
    for (let round = 0; round < rounds(200); round++) {
      const random = new Random(seed + round);
      const outer = randomExpression(random, 4);
      const inner = Array.from({ length: OPERANDS }, () => randomExpression(random, 3));
      const at = point(random);
      const values = inner.map((e) => evaluate(e, at, STRENGTH));
      const expected = evaluate(outer, values, STRENGTH);
      const joined = evaluate(
        substitute(outer, (i) => inner[i]!),
        at,
        STRENGTH,
      );
      if (!Number.isFinite(expected) || Math.abs(expected) > 1e12) continue;
      expect(near(joined, expected), `seed ${seed + round}`).toBeLessThan(1e-9);
    }
  });

  test('what changes nothing is left out, and work is counted', () => {
    const x = operand(0);
    expect(binary('add', x, constant(0))).toBe(x);
    expect(binary('add', constant(0), x)).toBe(x);
    expect(binary('sub', x, constant(0))).toBe(x);
    expect(binary('mul', constant(1), x)).toBe(x);
    expect(binary('div', x, constant(1))).toBe(x);
    expect(binary('mul', x, constant(0))).toEqual(constant(0));
    // 0 - x and 1 / x are not nothing.
    expect(evaluate(binary('sub', constant(0), x), [3], 1)).toBe(-3);
    expect(evaluate(binary('div', constant(1), x), [4], 1)).toBe(0.25);
    expect(operations(x)).toBe(0);
    expect(operations(binary('mul', unary('exp', x), binary('add', x, constant(2))))).toBe(3);
    expect(usesStrength(binary('mul', x, unary('exp', strength)))).toBe(true);
    expect(usesStrength(binary('mul', x, unary('exp', x)))).toBe(false);
  });

  test('activations have the values that torch gives, and the slopes of their curves', () => {
    const x = operand(0);
    // torch.nn.functional.silu, transformers' QuickGELUActivation, gelu(x), gelu(x, approximate='tanh') in float64.
    const known = {
      silu: {
        '-4': -0.07194483984836623,
        '-1': -0.2689414213699951,
        '0.5': 0.3112296656009273,
        '3': 2.8577223804672998,
      },
      quickGelu: {
        '-4': -0.004414724139581062,
        '-1': -0.1542042340671787,
        '0.5': 0.35038843660638014,
        '3': 2.981928690292214,
      },
      gelu: {
        '-4': -0.00012668496733247991,
        '-1': -0.15865525393145702,
        '0.5': 0.34573123063700656,
        '3': 2.99595030590511,
      },
      geluTanh: {
        '-4': -7.024594819227126e-5,
        '-1': -0.15880800939172324,
        '0.5': 0.34571400982514394,
        '3': 2.996362607918227,
      },
      // torch.nn.functional.relu, and elu with alpha 1
      relu: { '-4': 0, '-1': 0, '0.5': 0.5, '3': 3 },
      elu: { '-4': -0.9816843611112658, '-1': -0.6321205588285577, '0.5': 0.5, '3': 3 },
    };
    const made = { silu, quickGelu, gelu, geluTanh, relu, elu };
    for (const [name, values] of Object.entries(known) as [keyof typeof made, Record<string, number>][]) {
      const e = made[name](x);
      for (const [at, value] of Object.entries(values)) {
        expect(evaluate(e, [Number(at)], 1), `${name}(${at})`).toBeCloseTo(value, 12);
        const slope = (evaluate(e, [Number(at) + 1e-5], 1) - evaluate(e, [Number(at) - 1e-5], 1)) / 2e-5;
        expect(evaluate(derivative(e, 0), [Number(at)], 1), `${name}'(${at})`).toBeCloseTo(slope, 8);
      }
    }
  });

  test('relu and elu at 0, where torch has the slopes of the negative side', () => {
    const x = operand(0);
    expect(evaluate(derivative(relu(x), 0), [0], 1)).toBe(0);
    for (const alpha of [1, 0.7]) {
      expect(evaluate(elu(x, alpha), [0], 1)).toBe(0);
      expect(evaluate(derivative(elu(x, alpha), 0), [0], 1)).toBe(alpha);
      expect(evaluate(elu(x, alpha), [-2], 1)).toBeCloseTo(alpha * Math.expm1(-2), 12);
    }
  });
});
