import { describe, expect } from 'vitest';
import { rmsNorm, rmsNormBackward } from '../../src/engine/kernels/rms_norm.ts';
import { FAMILIES, normError, runOn, slope } from '../support/kernels.ts';
import { packWeights } from '../support/matmul.ts';
import type { Random } from '../support/matmul.ts';
import { seeded } from '../support/seeds.ts';

function forward(x: Float64Array, w: Float64Array, width: number, eps: number, offset: number) {
  const rows = x.length / width;
  const y = new Float64Array(x.length);
  const rstd = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += x[r * width + i]! ** 2;
    rstd[r] = 1 / Math.sqrt(sum / width + eps);
    for (let i = 0; i < width; i++) y[r * width + i] = x[r * width + i]! * rstd[r]! * (w[i]! + offset);
  }
  return { y, rstd };
}

/** dx, and the size of the two terms that each of its elements is the difference of. */
function backward(x: Float64Array, w: Float64Array, dy: Float64Array, width: number, eps: number, offset: number) {
  const { rstd } = forward(x, w, width, eps, offset);
  let squares = 0;
  const dx = x.map((value, at) => {
    const r = Math.floor(at / width);
    const i = at % width;
    let along = 0;
    for (let j = 0; j < width; j++) along += (w[j]! + offset) * dy[r * width + j]! * x[r * width + j]!;
    const [own, shared] = [rstd[r]! * (w[i]! + offset) * dy[at]!, (value * rstd[r]! ** 3 * along) / width];
    squares += own ** 2 + shared ** 2;
    return own - shared;
  });
  return { dx, terms: Math.sqrt(squares) };
}

const shapes = [
  { rows: 1, width: 1 },
  { rows: 1, width: 4 },
  { rows: 3, width: 5 },
  { rows: 7, width: 128 },
  { rows: 2, width: 2052 },
];
const anyShapes = [
  (sizes: Random) => ({ rows: sizes.int(2, 40), width: sizes.int(2, 700) }),
  (sizes: Random) => ({ rows: sizes.int(2, 40), width: 4 * sizes.int(1, 200) }),
];

describe.each(FAMILIES)('RMS norm, %s family', (family) => {
  seeded.each(shapes, ...anyShapes)('rows $rows, width $width', async ({ seed, random }, { rows, width }) => {
    for (const weightType of ['f32', 'bf16', 'f16'] as const) {
      const offset = weightType === 'bf16' ? 1 : 0;
      // At width 1 a small eps lets the two terms of dx cancel to nothing.
      const eps = width === 1 ? 0.5 : 1e-5;
      const x = random.normal(rows * width);
      const dy = random.normal(rows * width);
      const add = random.normal(rows * width);
      const { packed, values } = packWeights(random.normal(width), weightType);
      const shape = { rows, width, eps, weightType, offset };
      const blank = () => new Float32Array(rows * width);
      const got = await runOn(
        family,
        (target) => [
          ...rmsNorm(target, shape, { x: 'x', weight: 'w', y: 'y', rstd: 'rstd' }),
          ...rmsNorm(target, shape, { x: 'x', weight: 'w', y: 'y2' }),
          ...rmsNormBackward(target, shape, { x: 'x', weight: 'w', dy: 'dy', dx: 'dx' }),
          ...rmsNormBackward(target, shape, { x: 'x', weight: 'w', dy: 'dy', dx: 'dxAdd', add: 'add' }),
          ...rmsNormBackward(target, shape, { x: 'x', weight: 'w', dy: 'dy', dx: 'inPlace', add: 'inPlace' }),
        ],
        {
          x,
          w: packed,
          dy,
          add,
          inPlace: add,
          y: blank(),
          y2: blank(),
          dx: blank(),
          dxAdd: blank(),
          rstd: new Float32Array(rows),
        },
        ['y', 'y2', 'rstd', 'dx', 'dxAdd', 'inPlace'],
      );
      const [x64, w64, dy64] = [Float64Array.from(x), Float64Array.from(values), Float64Array.from(dy)];
      const expected = forward(x64, w64, width, eps, offset);
      const { dx, terms } = backward(x64, w64, dy64, width, eps, offset);
      const note = `seed ${seed}, ${weightType}`;
      // Products and a sum of squares: nothing cancels, and each element is good to some ten roundings of 2^-24.
      expect(normError(got['y']!, expected.y), note).toBeLessThan(2e-6);
      expect(normError(got['y2']!, expected.y), note).toBeLessThan(2e-6);
      expect(normError(got['rstd']!, expected.rstd), note).toBeLessThan(2e-6);
      expect(normError(got['dx']!, dx, terms), note).toBeLessThan(3e-6);
      const added = dx.map((value, i) => value + add[i]!);
      // Against the size of all terms: where they cancel, as one element by chance does, the sum is no measure.
      const size = Math.hypot(terms, ...add);
      expect(normError(got['dxAdd']!, added, size), note).toBeLessThan(3e-6);
      expect(normError(got['inPlace']!, added, size), note).toBeLessThan(3e-6);
    }
  });
});

seeded('rows beyond one workgroup dimension', async ({ seed, random }) => {
  const [rows, width] = [65539, 3];
  const x = random.normal(rows * width);
  const w = random.normal(width);
  const shape = { rows, width, eps: 1e-5, weightType: 'f32' } as const;
  const { y } = await runOn(
    'cpu',
    (target) => rmsNorm(target, shape, { x: 'x', weight: 'w', y: 'y' }),
    { x, w, y: x },
    ['y'],
  );
  const expected = forward(Float64Array.from(x), Float64Array.from(w), width, 1e-5, 0);
  expect(normError(y!, expected.y), `seed ${seed}`).toBeLessThan(2e-6);
});

seeded('the formula of the gradient agrees with finite differences', ({ seed, random }) => {
  const width = 6;
  const draw = () => Float64Array.from(random.normal(width));
  const [x, w, dy] = [draw(), draw(), draw()];
  const loss = () => forward(x, w, width, 1e-5, 1).y.reduce((sum, value, i) => sum + value * dy[i]!, 0);
  const { dx } = backward(x, w, dy, width, 1e-5, 1);
  for (let i = 0; i < width; i++) expect(slope(loss, x, i), `seed ${seed}`).toBeCloseTo(dx[i]!, 6);
});
