import { describe, expect } from 'vitest';
import {
  gatedActivation,
  gatedActivationBackward,
  type Activation,
} from '../../src/engine/kernels/gated_activation.ts';
import { erf } from '../support/erf.ts';
import { FAMILIES, normError, runOn } from '../support/kernels.ts';
import type { Random } from '../support/matmul.ts';
import { seeded } from '../support/seeds.ts';

const functions: Record<Activation, (x: number) => number> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => (x * (1 + erf(x / Math.SQRT2))) / 2,
  gelu_tanh: (x) => (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2,
  relu: (x) => Math.max(0, x),
};

const shapes = [
  { rows: 1, width: 1 },
  { rows: 3, width: 5 },
  { rows: 2, width: 344 },
];
const gates = ['first', 'second'] as const;

describe.each(FAMILIES)('gated activations, %s family', (family) => {
  const cases = shapes.flatMap((shape) => gates.map((gate) => ({ ...shape, gate })));
  const drawn = gates.map((gate) => (sizes: Random) => ({ rows: sizes.int(1, 40), width: sizes.int(1, 400), gate }));
  seeded.each(cases, ...drawn)(
    'rows $rows, width $width, gate $gate',
    async ({ seed, random }, { rows, width, gate }) => {
      const gateAt = gate === 'first' ? 0 : width;
      const upAt = width - gateAt;
      for (const activation of Object.keys(functions) as Activation[]) {
        const f = functions[activation];
        const x = random.normal(rows * 2 * width).map((value) => 2 * value);
        // relu's kink has no slope that a difference over it could be compared with.
        if (activation === 'relu') x.forEach((value, i) => (x[i] = Math.abs(value) < 1e-3 ? value + 0.01 : value));
        // The ends, where exponentials overflow if they are let.
        x[gateAt] = activation === 'relu' ? 3 : -120;
        if (rows > 1) x[2 * width + gateAt] = 130;
        const dy = random.normal(rows * width);
        const shape = { rows, width, activation, gate };
        const got = await runOn(
          family,
          (target) => [
            ...gatedActivation(target, shape, { x: 'x', y: 'y' }),
            ...gatedActivationBackward(target, shape, { x: 'x', dy: 'dy', dx: 'dx' }),
          ],
          { x, dy, y: new Float32Array(rows * width), dx: new Float32Array(x.length) },
          ['y', 'dx'],
        );
        const y = new Float64Array(rows * width);
        const dx = new Float64Array(x.length);
        // What the errors of f (and so those of σ, erf and tanh, which are absolute) are multiplied with; past 8 all are 0 or 1.
        const sizes = { y: new Float64Array(y.length), dx: new Float64Array(x.length) };
        for (let row = 0; row < rows; row++) {
          for (let c = 0; c < width; c++) {
            const [toGate, toUp] = [row * 2 * width + gateAt + c, row * 2 * width + upAt + c];
            const value = x[toGate]!;
            const up = x[toUp]!;
            const g = dy[row * width + c]!;
            y[row * width + c] = f(value) * up;
            dx[toGate] = g * up * ((f(value + 1e-5) - f(value - 1e-5)) / 2e-5);
            dx[toUp] = g * f(value);
            const near = Math.min(8, Math.abs(value));
            sizes.y[row * width + c] = near * Math.abs(up);
            sizes.dx[toGate] = (1 + near) * Math.abs(g * up);
            sizes.dx[toUp] = near * Math.abs(g);
          }
        }
        const note = `seed ${seed}, ${activation}`;
        const size = Math.hypot(...dy);
        // 1e-9: the reference's slope is a difference. erf is known to 1.6e-7, the others to some roundings of 6e-8.
        const worst = (a: Float32Array, b: Float64Array, terms: Float64Array) =>
          a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!) / (1e-9 + terms[i]! + Math.abs(b[i]!))), 0);
        expect(size, note).toBeGreaterThan(0);
        expect(worst(got['y']!, y, sizes.y), note).toBeLessThan(1e-6);
        expect(worst(got['dx']!, dx, sizes.dx), note).toBeLessThan(2e-6);
      }
    },
  );
});

seeded('rows beyond one workgroup dimension', async ({ seed, random }) => {
  const [rows, width] = [65541, 3];
  const x = random.normal(rows * 2 * width);
  const { y } = await runOn(
    'gpu',
    (target) => gatedActivation(target, { rows, width, activation: 'silu', gate: 'first' }, { x: 'x', y: 'y' }),
    { x, y: new Float32Array(rows * width) },
    ['y'],
  );
  const expected = Float64Array.from({ length: rows * width }, (_, i) => {
    const at = Math.floor(i / width) * 2 * width + (i % width);
    return functions.silu(x[at]!) * x[at + width]!;
  });
  expect(normError(y!, expected), `seed ${seed}`).toBeLessThan(1e-6);
});
