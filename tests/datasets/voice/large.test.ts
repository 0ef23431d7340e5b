import { expect, test } from 'vitest';
import { importFiles } from '../../../src/datasets/voice/import/import.ts';
import type { SourceFile } from '../../../src/datasets/voice/import/source.ts';

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

/** Imports, and tells how often other work had its turn and how long it had to wait for it at most. */
async function timed(file: SourceFile) {
  let longest = 0;
  let turns = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    turns++;
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const started = performance.now();
  try {
    const result = await importFiles([file]);
    return { ...result, seconds: (performance.now() - started) / 1000, longest, turns };
  } finally {
    clearInterval(timer);
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
  const { rows, report, seconds, longest, turns } = await timed(file);
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.external - before.heapUsed - before.external;
  console.info(
    `${layout}: ${seconds.toFixed(1)} s, longest pause ${longest.toFixed(0)} ms, heap ${String(Math.round(grown / MEGABYTE))} MB`,
  );
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
  // It takes a second or two where nothing else runs; the bound leaves room for a machine that is busy.
  expect(seconds).toBeLessThan(25);
  // Slices are 16 ms of work: a faster machine needs fewer of them, so what counts is the time between two turns.
  expect(turns).toBeGreaterThan(0);
  expect((1000 * seconds) / turns).toBeLessThan(100);
});
