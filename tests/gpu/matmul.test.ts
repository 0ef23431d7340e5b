import { beforeAll, expect, test } from 'vitest';
import { Device } from '../../src/engine/device.ts';
import type { KernelCall, KernelFamily } from '../../src/engine/kernels/kernel.ts';
import type { WeightType } from '../../src/engine/weight-formats.ts';
import { loraSegments, totalRank, type LoraSegment } from '../../src/engine/kernels/lora_segments.ts';
import { candidates, linear, linearBackward, type Variant } from '../../src/engine/kernels/matmul.ts';
import { loraDown, loraUpBackward, outer } from '../../src/engine/kernels/matmul_lora.ts';
import { SHADERS } from 'virtual:shaders';
import { runKernels } from '../../src/engine/kernels/run.ts';
import { testGpu } from '../support/gpu.ts';
import { linearReference, matmul, packWeights, relativeError } from '../support/matmul.ts';
import type { Random } from '../support/matmul.ts';
import { seeded, sweeping } from '../support/seeds.ts';

// f32 sums of K products: the error of each product and of each addition is at most 2^-24 of its size, signs at random, so
// that the norm of the error grows as √K while that of the sum does too. Terms are added in partial sums, which only helps;
// three times 2^-24 · √K leaves room for the largest of many outputs, and sums of up to four parts.
const bound = (k: number): number => 2e-7 * Math.sqrt(k + 16);

const families: KernelFamily[] = ['cpu', 'gpu'];
const devices = new Map<KernelFamily, Device>();

beforeAll(async () => {
  for (const family of families) devices.set(family, await Device.open(await testGpu(), { family }));
  console.log(`matmul: adapter ${devices.get('cpu')!.info.description}`);
});

async function run(
  family: KernelFamily,
  calls: KernelCall<string>[],
  data: Record<string, Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>,
  read: string[],
  step = {},
) {
  const { results } = await runKernels(devices.get(family)!, SHADERS, calls, data, read, { step });
  return results;
}

/** Splits `total` columns into `parts` segments of odd and even widths; one may be without adapter. */
function group(sizes: Random, total: number, ranks: number[]): LoraSegment[] {
  const layers = ranks.map((rank, i) => {
    const left = ranks.length - i - 1;
    const columns = left === 0 ? total : Math.max(1, Math.min(total - left, Math.round(total * sizes.uniform() * 0.7)));
    total -= columns;
    return { columns, rank, scale: 0.5 + sizes.uniform() };
  });
  return loraSegments(layers);
}

/** One variant, any of them; all of them for one shape, since compiling takes most of the time: a sweep takes the usual one. */
function some(sizes: Random, variants: Variant[], all: boolean): Variant[] {
  if (sweeping) return variants.slice(0, 1);
  return all ? variants : [variants[sizes.int(0, variants.length - 1)]!];
}

type Shape = [m: number, n: number, k: number, ranks: number[]];

const written: Shape[] = [
  [1, 1, 1, [1]],
  [2, 5, 3, [2]],
  [3, 64, 64, [8]],
  [16, 8, 4, []],
  [17, 33, 40, [3, 0, 5]],
  [33, 71, 29, [4, 4]],
  [40, 132, 68, [8, 8, 8]],
  [65, 130, 128, [4, 0, 12, 8]],
];
const drawn = [
  (sizes: Random): Shape => [sizes.int(1, 90), sizes.int(1, 150), sizes.int(1, 150), [sizes.int(1, 9)]],
  (sizes: Random): Shape => [sizes.int(1, 150), 4 * sizes.int(1, 40), 4 * sizes.int(1, 40), [8, 16]],
];
const weightTypes: WeightType[] = ['f32', 'bf16', 'f16'];

for (const family of families) {
  seeded.each(written, ...drawn)(
    `linear, both ways, ${family} family: M %i, N %i, K %i, ranks %j`,
    async ({ random, shapes }, [m, n, k, ranks]) => {
      for (const weightType of weightTypes.filter((_, i) => m * n * k < 1000 || i === (m + n + k) % 3)) {
        const target = devices.get(family)!.target;
        const segments = group(shapes, n, ranks);
        const r = totalRank(segments);
        const lora = r > 0;
        const x = random.normal(m * k);
        const { packed, values: w } = packWeights(random.normal(n * k), weightType);
        const bias = random.normal(n);
        const residual = random.normal(m * n);
        const h = random.normal(m * r);
        const b = random.normal(segments.reduce((sum, s) => sum + s.columns * s.rank, 0));
        const expected = linearReference({ x, w, bias, residual, h, b }, m, n, k, segments);
        for (const variant of some(shapes, candidates('linear', { m, n, k, weightType }, target), m === 40)) {
          const call = linear<string>(
            {
              x: 'x',
              w: 'w',
              y: 'y',
              bias: 'bias',
              residual: 'residual',
              lora: lora ? { h: 'h', b: 'b', segments } : undefined,
            },
            { m, n, k, weightType },
            target,
            variant,
          );
          const data = {
            x,
            w: packed,
            bias,
            residual,
            h: lora ? h : x,
            b: lora ? b : x,
            y: new Float32Array(m * n).fill(NaN),
          };
          const { y } = await run(family, [call], data, ['y']);
          expect(relativeError(y!, expected, k + r), `${weightType} ${variant.name}`).toBeLessThan(bound(k + r));
        }

        // dx = dy · W + g · A + residual
        const dy = random.normal(m * n);
        const g = random.normal(m * r);
        const a = random.normal(r * k);
        const dxResidual = random.normal(m * k);
        const dx = matmul(
          dy,
          w,
          m,
          k,
          n,
          (row, i) => row * n + i,
          (i, column) => i * k + column,
        );
        const low = matmul(
          g,
          a,
          m,
          k,
          r,
          (row, i) => row * r + i,
          (i, column) => i * k + column,
        );
        for (let i = 0; i < dx.length; i++) dx[i] = dx[i]! + low[i]! + dxResidual[i]!;
        for (const variant of some(
          shapes,
          candidates('linearBackward', { m, n: k, k: n, weightType }, target),
          m === 40,
        )) {
          const call = linearBackward<string>(
            { dy: 'dy', w: 'w', dx: 'dx', residual: 'residual', lora: lora ? { g: 'g', a: 'a', r } : undefined },
            { m, n, k, weightType },
            target,
            variant,
          );
          const data = {
            dy,
            w: packed,
            residual: dxResidual,
            g: lora ? g : dy,
            a: lora ? a : dy,
            dx: new Float32Array(m * k).fill(NaN),
          };
          const { dx: got } = await run(family, [call], data, ['dx']);
          expect(relativeError(got!, dx, n + r), `${weightType} ${variant.name}`).toBeLessThan(bound(n + r));
        }
      }
    },
  );

  seeded.each(
    written.filter(([, , , ranks]) => ranks.length > 0),
    ...drawn,
  )(
    `LoRA's down-projection and gradients, ${family} family: M %i, N %i, K %i, ranks %j`,
    async ({ random, shapes }, [m, n, k, ranks]) => {
      const target = devices.get(family)!.target;
      const segments = group(shapes, n, ranks);
      const r = totalRank(segments);
      const strength = 0.25 + random.uniform();
      const x = random.normal(m * k);
      const aOffset = r % 4 === 0 ? 8 : 3;
      const a = random.normal(aOffset + r * k);
      const segmentOfH = segments.flatMap((segment) => Array<LoraSegment>(segment.rank).fill(segment));
      const h = matmul(
        x,
        a,
        m,
        r,
        k,
        (row, i) => row * k + i,
        (i, column) => aOffset + column * k + i,
      );
      for (let i = 0; i < h.length; i++) h[i]! *= segmentOfH[i % r]!.scale * strength;
      for (const variant of some(shapes, candidates('loraDown', { m: r, n: m, k, weightType: 'f32' }, target), true)) {
        const call = loraDown<string>({ x: 'x', a: 'a', h: 'h' }, { m, k, segments, aOffset }, target, variant);
        const data = { x, a, h: new Float32Array(m * r).fill(NaN) };
        const { h: got } = await run(family, [call], data, ['h'], { strength });
        expect(relativeError(got!, h, k), variant.name).toBeLessThan(bound(k));
      }

      const dy = random.normal(m * n);
      const b = random.normal(segments.reduce((sum, s) => sum + s.columns * s.rank, 0));
      const g = new Float64Array(m * r);
      const db = new Float64Array(b.length);
      const hidden = Float32Array.from(h);
      let start = 0;
      for (const { columns, rank, scale, hOffset, bOffset } of segments) {
        for (let row = 0; row < m; row++) {
          for (let column = 0; column < columns; column++) {
            const value = dy[row * n + start + column]!;
            for (let j = 0; j < rank; j++) {
              g[row * r + hOffset + j]! += scale * strength * value * b[bOffset + column * rank + j]!;
              db[bOffset + column * rank + j]! += value * hidden[row * r + hOffset + j]!;
            }
          }
        }
        start += columns;
      }
      for (const variant of some(
        shapes,
        candidates('loraUpBackward', { m: r, n: m, k: n, weightType: 'f32' }, target),
        true,
      )) {
        const call = loraUpBackward<string>({ dy: 'dy', b: 'b', g: 'g' }, { m, segments }, target, variant);
        const data = { dy, b, g: new Float32Array(m * r).fill(NaN) };
        const { g: got } = await run(family, [call], data, ['g'], { strength });
        expect(relativeError(got!, g, n), variant.name).toBeLessThan(bound(n));
      }

      const upstream = Float32Array.from(g);
      const da = new Float64Array(aOffset + r * k);
      for (let row = 0; row < m; row++) {
        for (let j = 0; j < r; j++) {
          for (let i = 0; i < k; i++) da[aOffset + j * k + i]! += upstream[row * r + j]! * x[row * k + i]!;
        }
      }
      for (const accumulate of [0, 1]) {
        for (const variant of some(
          shapes,
          candidates('outer', { m: r, n: Math.max(n, k), k: m, weightType: 'f32' }, target),
          true,
        )) {
          const calls = outer<string>(
            { g: 'g', x: 'x', h: 'h', dy: 'dy', da: 'da', db: 'db' },
            { m, k, segments, aOffset },
            target,
            variant,
          );
          // Without accumulation even a NaN left behind must not matter; the elements before aOffset belong to others.
          const daBefore = accumulate ? random.normal(da.length) : new Float32Array(da.length).fill(NaN);
          daBefore.fill(7, 0, aOffset);
          const dbBefore = accumulate ? random.normal(db.length) : new Float32Array(db.length).fill(NaN);
          const data = { g: upstream, x, h: hidden, dy, da: daBefore, db: dbBefore };
          const got = await run(family, calls, data, ['da', 'db'], { accumulate });
          expect([...got['da']!.subarray(0, aOffset)]).toEqual(Array(aOffset).fill(7));
          const sum = (values: Float64Array, before: Float32Array): Float64Array =>
            accumulate ? values.map((value, i) => value + before[i]!) : values;
          const errors = [
            relativeError(got['da']!.subarray(aOffset), sum(da, daBefore).subarray(aOffset), m),
            relativeError(got['db']!, sum(db, dbBefore), m),
          ];
          for (const error of errors) expect(error, variant.name).toBeLessThan(bound(m));
        }
      }
    },
  );

  test(`more workgroups than one dimension holds, ${family} family`, async () => {
    const target = devices.get(family)!.target;
    // Only the first workgroups of both rows of the grid run: tiles 0 and 65535. The output between them must stay as it was.
    const corner = (call: KernelCall<string>): KernelCall<string> => {
      expect(call.grid.slice(0, 2)).toEqual([65535, 2]);
      return { ...call, grid: [1, 2, 1] };
    };
    const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => ((i * 37 + 11) % 101) - 50);
    // Small integers: sums are exact, so that every output can be compared.
    const compare = (got: Float32Array, columns: number, expected: (i: number) => number): void => {
      const wrong = got.findIndex((value, i) =>
        i < columns || i >= 65535 * columns ? value !== expected(i) : !Number.isNaN(value),
      );
      expect(wrong, `element ${wrong} is ${got[wrong]}`).toBe(-1);
    };
    const x = Float32Array.of(1, -2, 3, 5);
    const forward = candidates('linear', { m: 1, n: 32, k: 4, weightType: 'f32' }, target)[0]!;
    const n = 65535 * forward.columns + 4 * Math.ceil(forward.columns / 8);
    const w = numbers(n * 4);
    const call = linear<string>({ x: 'x', w: 'w', y: 'y' }, { m: 1, n, k: 4, weightType: 'f32' }, target, forward);
    const { y } = await run(family, [corner(call)], { x, w, y: new Float32Array(n).fill(NaN) }, ['y']);
    compare(y!, forward.columns, (i) => w[4 * i]! - 2 * w[4 * i + 1]! + 3 * w[4 * i + 2]! + 5 * w[4 * i + 3]!);

    const back = candidates('linearBackward', { m: 1, n: 32, k: 4, weightType: 'f32' }, target).at(-1)!;
    const k = 65535 * back.columns + 4 * Math.ceil(back.columns / 8);
    const v = numbers(4 * k);
    const backward = linearBackward<string>(
      { dy: 'x', w: 'v', dx: 'dx' },
      { m: 1, n: 4, k, weightType: 'f32' },
      target,
      back,
    );
    const { dx } = await run(family, [corner(backward)], { x, v, dx: new Float32Array(k).fill(NaN) }, ['dx']);
    compare(dx!, back.columns, (i) => v[i]! - 2 * v[k + i]! + 3 * v[2 * k + i]! + 5 * v[3 * k + i]!);
  });

  seeded(`the same without subgroups, ${family} family`, async ({ random, shapes }) => {
    const target = { ...devices.get(family)!.target, subgroups: false };
    const [m, n, k] = [21, 24, 12];
    const segments = group(shapes, n, [4]);
    const x = random.normal(m * k);
    const w = random.normal(n * k);
    const a = random.normal(4 * k);
    const b = random.normal(4 * n);
    const data = { x, w, a, b, h: new Float32Array(m * 4), y: new Float32Array(m * n) };
    const calls = [
      loraDown<string>({ x: 'x', a: 'a', h: 'h' }, { m, k, segments }, target),
      linear<string>(
        { x: 'x', w: 'w', y: 'y', lora: { h: 'h', b: 'b', segments } },
        { m, n, k, weightType: 'f32' },
        target,
      ),
    ];
    const { h, y } = await run(family, calls, data, ['h', 'y']);
    const zeros = new Float32Array(m * n);
    const expected = linearReference({ x, w, bias: zeros, residual: zeros, h: h!, b }, m, n, k, segments);
    const down = matmul(
      x,
      a,
      m,
      4,
      k,
      (row, i) => row * k + i,
      (i, column) => column * k + i,
    );
    expect(
      relativeError(
        h!,
        down.map((value) => value * segments[0]!.scale),
        k,
      ),
    ).toBeLessThan(bound(k));
    expect(relativeError(y!, expected, k)).toBeLessThan(bound(k + 4));
  });

  seeded(
    `shards of a weight write their columns of one y, and add into one dx, ${family} family`,
    async ({ random }) => {
      const target = devices.get(family)!.target;
      for (const [m, k, widths] of [
        [19, 36, [8, 12, 20]],
        [5, 21, [3, 8, 6]],
      ] as const) {
        const n = widths.reduce<number>((sum, width) => sum + width, 0);
        const x = random.normal(m * k);
        const w = random.normal(n * k);
        const dy = random.normal(m * n);
        const data: Record<string, Float32Array<ArrayBuffer>> = {
          x,
          dy,
          y: new Float32Array(m * n).fill(NaN),
          dx: new Float32Array(m * k).fill(NaN),
        };
        const calls: KernelCall<string>[] = [];
        let start = 0;
        widths.forEach((width, i) => {
          data[`w${i}`] = w.slice(start * k, (start + width) * k);
          calls.push(
            linear<string>(
              { x: 'x', w: `w${i}`, y: 'y' },
              { m, n: width, k, weightType: 'f32', yOffset: start, yStride: n },
              target,
            ),
            linearBackward<string>(
              { dy: 'dy', w: `w${i}`, dx: 'dx' },
              { m, n: width, k, weightType: 'f32', dyOffset: start, dyStride: n, accumulate: i > 0 },
              target,
            ),
          );
          start += width;
        });
        const got = await run(family, calls, data, ['y', 'dx']);
        const y = matmul(
          x,
          w,
          m,
          n,
          k,
          (row, i) => row * k + i,
          (i, column) => column * k + i,
        );
        const dx = matmul(
          dy,
          w,
          m,
          k,
          n,
          (row, i) => row * n + i,
          (i, column) => i * k + column,
        );
        expect(relativeError(got['y']!, y, k)).toBeLessThan(bound(k));
        expect(relativeError(got['dx']!, dx, n)).toBeLessThan(bound(n));
      }
    },
  );

  test(`every f16 and bf16 value unpacks exactly, ${family} family`, async () => {
    const target = devices.get(family)!.target;
    for (const weightType of ['f16', 'bf16'] as const) {
      for (const k of [1, 4]) {
        // x · 1: one term of each sum is the weight, the others are 0.
        const codes = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((code) => {
          const exponent = weightType === 'f16' ? (code >> 10) & 31 : (code >> 7) & 255;
          // No infinities nor NaN; bf16 subnormals are f32 subnormals, which WGSL may flush to zero.
          return weightType === 'f16' ? exponent < 31 : exponent > 0 && exponent < 255;
        });
        const n = codes.length;
        const words = new Uint16Array(n * k + ((n * k) % 2));
        codes.forEach((code, i) => (words[i * k + (k - 1)] = code));
        const { values } = packWeights.decode(words, weightType);
        const x = new Float32Array(k);
        x[k - 1] = 1;
        const call = linear<string>({ x: 'x', w: 'w', y: 'y' }, { m: 1, n, k, weightType }, target);
        const data = { x, w: new Uint32Array(words.buffer), y: new Float32Array(n) };
        const { y } = await run(family, [call], data, ['y']);
        const wrong = y!.findIndex((value, i) => value !== values[i * k + (k - 1)]);
        expect(wrong, `${weightType}, K ${k}: code ${codes[wrong]} gives ${y![wrong]}`).toBe(-1);
      }
    }
  });
}
