import { describe } from 'vitest';
import { embedding, scatterRows } from '../../src/engine/kernels/embedding.ts';
import { FAMILIES, expectSame, runOn } from '../support/kernels.ts';
import { packWeights } from '../support/matmul.ts';
import { seeded } from '../support/seeds.ts';

describe.each(FAMILIES)('gather and scatter of rows, %s family', (family) => {
  seeded.each([
    { rows: 1, width: 1, tableRows: 1 },
    { rows: 9, width: 5, tableRows: 7 },
    { rows: 300, width: 260, tableRows: 50 },
    { rows: 65540, width: 2, tableRows: 11 },
  ])('embedding of $rows tokens, width $width', async ({ random }, { rows, width, tableRows }) => {
    for (const weightType of ['f32', 'bf16', 'f16'] as const) {
      const { packed, values } = packWeights(random.normal(tableRows * width), weightType);
      const ids = Uint32Array.from({ length: rows }, () => random.int(0, tableRows - 1));
      const scale = weightType === 'bf16' ? 4 : 1;
      const { y } = await runOn(
        family,
        (target) =>
          embedding(target, { rows, width, weightType, tableRows, scale }, { table: 'table', ids: 'ids', y: 'y' }),
        { table: packed, ids, y: new Float32Array(rows * width) },
        ['y'],
      );
      const expected = y!.map((_, i) => values[ids[Math.floor(i / width)]! * width + (i % width)]! * scale);
      expectSame(y, expected, weightType);
    }
  });

  seeded('a table in two shards', async ({ random }) => {
    const [rows, width, tableRows, cut] = [40, 12, 31, 13];
    const values = random.normal(tableRows * width);
    const ids = Uint32Array.from({ length: rows }, () => random.int(0, tableRows - 1));
    const shape = { rows, width, weightType: 'f32' } as const;
    const { y } = await runOn(
      family,
      (target) => [
        ...embedding(target, { ...shape, tableRows: cut }, { table: 'a', ids: 'ids', y: 'y' }),
        ...embedding(
          target,
          { ...shape, tableRows: tableRows - cut, firstRow: cut },
          { table: 'b', ids: 'ids', y: 'y' },
        ),
      ],
      { a: values.slice(0, cut * width), b: values.slice(cut * width), ids, y: new Float32Array(rows * width) },
      ['y'],
    );
    expectSame(
      y,
      y!.map((_, i) => values[ids[Math.floor(i / width)]! * width + (i % width)]!),
    );
  });

  seeded.each([
    { tokens: 1, width: 1, x: { stride: 1, offset: 0 }, y: { stride: 1, offset: 0 }, cache: 1 },
    { tokens: 7, width: 10, x: { stride: 23, offset: 13 }, y: { stride: 11, offset: 1 }, cache: 20 },
    { tokens: 30, width: 128, x: { stride: 192, offset: 64 }, y: { stride: 256, offset: 128 }, cache: 64 },
  ])('scatter of $tokens rows, width $width', async ({ random }, { tokens, width, x, y, cache }) => {
    const source = random.normal(tokens * x.stride);
    const target = random.normal(cache * y.stride);
    const order = Array.from({ length: cache }, (_, i) => i).sort(() => random.uniform() - 0.5);
    const rows = Uint32Array.from(order.slice(0, tokens));
    const got = await runOn(
      family,
      (kernelTarget) => scatterRows(kernelTarget, { tokens, width, x, y }, { x: 'x', rows: 'rows', y: 'y' }),
      { x: source, rows, y: target },
      ['y'],
    );
    const expected = target.slice();
    rows.forEach((row, t) => {
      for (let c = 0; c < width; c++) expected[row * y.stride + y.offset + c] = source[t * x.stride + x.offset + c]!;
    });
    expectSame(got['y'], expected);
  });
});
