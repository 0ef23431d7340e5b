import { expect, test } from 'vitest';
import { TileCanvas, cutTile, tileStarts, tilesOf } from '../../../src/models/diffusion/picture-tiles.ts';

test.each([
  [100, 100, 10],
  [101, 100, 10],
  [250, 64, 16],
  [64, 100, 10],
  [1000, 64, 0],
])('tiles of a side of %i cover it, and overlap', (length, tile, overlap) => {
  const starts = tileStarts(length, tile, overlap);
  expect(starts[0]).toBe(0);
  expect(starts.at(-1)! + Math.min(tile, length)).toBe(length);
  for (let i = 1; i < starts.length; i++) {
    expect(starts[i]).toBeGreaterThan(starts[i - 1]!);
    expect(starts[i - 1]! + tile - starts[i]!).toBeGreaterThanOrEqual(overlap);
  }
  expect(starts.length).toBe(length <= tile ? 1 : Math.ceil((length - overlap) / (tile - overlap)));
});

test('cut apart and put together again, a picture is what it was', () => {
  const size = { height: 37, width: 90 };
  const channels = 3;
  const picture = Float32Array.from(
    { length: channels * size.height * size.width },
    (_, i) => Math.sin(i * 0.37) + i / 1000,
  );
  const tiles = tilesOf(size, 32, 8);
  expect(tiles.length).toBe(2 * 4);
  const canvas = new TileCanvas(channels, size, 8);
  for (const tile of tiles) {
    const cut = cutTile(picture, channels, size, tile);
    const pixels = tile.height * tile.width;
    const rows = Float32Array.from(cut, (_, i) => cut[(i % channels) * pixels + Math.floor(i / channels)]!);
    canvas.add(tile, rows);
  }
  const whole = canvas.finish();
  whole.forEach((value, i) => expect(Math.abs(value - picture[i]!)).toBeLessThan(1e-5));
});

test('tiles that differ fade into each other without a step', () => {
  const size = { height: 8, width: 48 };
  const canvas = new TileCanvas(1, size, 16);
  const tiles = tilesOf(size, 32, 16);
  tiles.forEach((tile, i) => canvas.add(tile, new Float32Array(tile.height * tile.width).fill(i)));
  const row = canvas.finish().slice(0, 48);
  expect([row[0], row[47]]).toEqual([0, 1]);
  for (let x = 1; x < 48; x++) {
    expect(row[x]! - row[x - 1]!).toBeGreaterThanOrEqual(0);
    expect(row[x]! - row[x - 1]!).toBeLessThan(0.08);
  }
});

test('an overlap as large as a tile is refused', () => {
  expect(() => tileStarts(10, 4, 4)).toThrow(RangeError);
});
