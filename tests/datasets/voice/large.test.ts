import { afterEach, expect, test, vi } from 'vitest';
import { importFiles } from '../../../src/datasets/voice/import/import.ts';
import type { SourceFile } from '../../../src/datasets/source-file.ts';

const MEGABYTE = 1 << 20;
const SIZE = 100 * MEGABYTE;

/** A file of `SIZE` bytes that is made while it is read: `block` over and over, between `before` and `after`. */
function generated(block: string, before = '', after = ''): SourceFile & { blocks: number } {
  const encode = (text: string) => new TextEncoder().encode(text);
  const bytes = encode(block);
  const perPiece = Math.ceil(MEGABYTE / bytes.length);
  const piece = encode(block.repeat(perPiece));
  const pieces = Math.floor(SIZE / piece.length);
  return {
    name: 'large',
    size: pieces * piece.length,
    blocks: pieces * perPiece,
    stream() {
      let given = -1;
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          if (given < 0) controller.enqueue(encode(before));
          else if (given < pieces) controller.enqueue(piece.slice());
          else {
            controller.enqueue(encode(after));
            controller.close();
          }
          given++;
        },
      });
    },
  };
}

/** Most bytes that are read in one go. */
const PIECE = 1 << 18;

afterEach(() => {
  vi.restoreAllMocks();
});

/**
 * Imports on a clock on which every piece of work takes too long, so that other work gets a turn wherever it may have one.
 * Tells how many turns it had, the most bytes between two of them, and the characters that were parsed as JSON.
 */
async function counted(file: SourceFile) {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000));
  let parsed = 0;
  const { parse } = JSON;
  // No spy, which would keep all that it was given.
  JSON.parse = (text, reviver) => {
    parsed += text.length;
    return parse(text, reviver) as unknown;
  };
  let turns = 0;
  let atTurn = 0;
  let read = 0;
  let most = 0;
  const turn = (): void => {
    turns++;
    atTurn = read;
    next = setImmediate(turn);
  };
  let next = setImmediate(turn);
  try {
    const result = await importFiles([file], {}, ({ fraction }) => {
      read = Math.round(fraction * file.size);
      most = Math.max(most, read - atTurn);
    });
    return { ...result, turns, most, parsed };
  } finally {
    clearImmediate(next);
    JSON.parse = parse;
  }
}

// Most of each file is skipped, so that what is kept stays small: memory must then stay small too.
const kept = `${JSON.stringify({
  messages: [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'b' },
  ],
})}\n`;
const skipped = `${JSON.stringify({ turns: 'word '.repeat(200) })}\n`.repeat(100);

test.each([
  ['JSON Lines', generated(kept + skipped), 1],
  ['a JSON list', generated((kept + skipped).replaceAll('\n', ',\n'), '[', '{}]'), 1],
  ['running text', generated(`${'word '.repeat(19)}\n\n`.repeat(100)), undefined],
] as const)('100 MB of %s are read piece by piece, with room for other work', async (layout, file, perBlock) => {
  const before = process.memoryUsage();
  const { rows, report, turns, most, parsed } = await counted(file);
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.external - before.heapUsed - before.external;
  if (perBlock !== undefined) {
    expect(rows).toHaveLength(file.blocks * perBlock);
    expect(report.skipped['no known fields']).toBeGreaterThanOrEqual(file.blocks * 100);
    expect(grown).toBeLessThan(60 * MEGABYTE);
  } else {
    const characters = rows.reduce((sum, row) => sum + (row.kind === 'text' ? row.text.length : 0), 0);
    expect(characters).toBeGreaterThan(0.98 * SIZE);
    // One byte a character, and as much again for what the collector has not freed yet.
    expect(grown).toBeLessThan(2.5 * SIZE);
  }
  // Between two turns no more is read than one piece, and what lies around it.
  expect(most).toBeLessThanOrEqual(1.1 * PIECE);
  expect(turns).toBeGreaterThanOrEqual(SIZE / PIECE);
  // Each row is parsed once, but for those at the beginning by which the layout is told.
  expect(parsed).toBeLessThan(1.01 * SIZE);
});
