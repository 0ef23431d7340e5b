import { expect, test } from 'vitest';
import { Xoshiro128 } from '../../../src/common/order.ts';
import { IGNORED_LABEL } from '../../../src/common/ignored-label.ts';
import { fitRows, packRows, padRow, padRows, tokenRanges } from '../../../src/tasks/voice/packing.ts';
import type { PackedSequence, TokenRow } from '../../../src/tasks/voice/packing.ts';
import { rounds, seeded } from '../../support/seeds.ts';

/** Rows whose every token has an id of its own, so that each can be followed. */
function randomRows(random: Xoshiro128, count: number, longest: number): TokenRow[] {
  let id = 1;
  return Array.from({ length: count }, () => {
    const inputIds = Int32Array.from({ length: random.below(longest + 1) }, () => id++);
    const share = random.below(4);
    const labels = inputIds.map((token) => (random.below(3) < share ? token : IGNORED_LABEL));
    return { inputIds, labels, continuous: random.below(2) === 0 };
  });
}

/** What each learnt token must be predicted from: [input id at t, id at t + 1] within a row's pieces. */
function expectedPairs(rows: readonly TokenRow[], maxLength: number): string[] {
  return rows.flatMap(({ inputIds, labels, continuous }) => {
    const pairs: string[] = [];
    for (let t = 1; t < inputIds.length; t++) {
      if (labels[t] === IGNORED_LABEL || t % maxLength === 0 || (!continuous && t >= maxLength)) continue;
      pairs.push(`${String(inputIds[t - 1])}>${String(labels[t])}`);
    }
    return pairs;
  });
}

function actualPairs(sequences: readonly PackedSequence[]): string[] {
  return sequences.flatMap(({ inputIds, labels }) =>
    Array.from(labels).flatMap((label, t) =>
      label === IGNORED_LABEL ? [] : [`${String(inputIds[t])}>${String(label)}`],
    ),
  );
}

function checkSequence(sequence: PackedSequence, maxLength: number, padId: number): void {
  const { inputIds, labels, positions, segments, rows, tokens, labelTokens } = sequence;
  expect([inputIds.length, labels.length, positions.length]).toEqual([maxLength, maxLength, maxLength]);
  expect(rows).toHaveLength(segments.length);
  let before = 0;
  for (const [start, end] of segments) {
    // Segments follow each other without gaps.
    expect(start).toBe(before);
    expect(end).toBeGreaterThan(start);
    expect(positions.subarray(start, end)).toEqual(Uint32Array.from({ length: end - start }, (_, i) => i));
    const following = Array.from(inputIds.subarray(start + 1, end));
    const learnt = Array.from(labels.subarray(start, end - 1));
    expect(learnt).toEqual(following.map((id, i) => (learnt[i] === IGNORED_LABEL ? IGNORED_LABEL : id)));
    expect(labels[end - 1]).toBe(IGNORED_LABEL);
    before = end;
  }
  expect(tokens).toBe(before);
  const rest = maxLength - before;
  expect(Array.from(inputIds.subarray(before))).toEqual(new Array(rest).fill(padId));
  expect(Array.from(labels.subarray(before))).toEqual(new Array(rest).fill(IGNORED_LABEL));
  expect(Array.from(positions.subarray(before))).toEqual(new Array(rest).fill(0));
  expect(labelTokens).toBe(labels.filter((label) => label !== IGNORED_LABEL).length);
  expect(labelTokens).toBeGreaterThan(0);
}

seeded('packing and padding lose, double and mix up nothing', ({ seed: first }) => {
  for (let round = 0; round < rounds(30); round++) {
    const seed = first + round;
    const random = Xoshiro128.from(seed);
    const maxLength = 2 + random.below(60);
    const rows = randomRows(random, random.below(60), maxLength * 2 + 3);
    const expected = expectedPairs(rows, maxLength).sort();
    const given = rows.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
    for (const arrange of [packRows, padRows]) {
      const { sequences, report } = arrange(rows, { maxLength, padId: 999_999 });
      const label = `seed ${String(seed)}, ${arrange.name}`;
      for (const sequence of sequences) checkSequence(sequence, maxLength, 999_999);
      expect(actualPairs(sequences).sort(), label).toEqual(expected);
      const ids = sequences.flatMap(({ inputIds, tokens }) => Array.from(inputIds.subarray(0, tokens)));
      expect(new Set(ids).size, label).toBe(ids.length);
      expect(ids.length + report.truncatedTokens + report.droppedTokens, label).toBe(given);
      // Each segment is of the row it says.
      for (const { inputIds, segments, rows: of } of sequences) {
        segments.forEach(([start, end], i) => {
          const row = Array.from(rows[of[i]!]!.inputIds);
          const at = row.indexOf(inputIds[start]!);
          expect(row.slice(at, at + end - start), label).toEqual(Array.from(inputIds.subarray(start, end)));
        });
      }
      expect(arrange(rows, { maxLength, padId: 999_999 }).sequences, label).toEqual(sequences);
    }
    // Best fit: no two sequences could be one.
    const fills = packRows(rows, { maxLength }).sequences.map(({ tokens }) => tokens);
    const [least = maxLength, second = maxLength] = fills.sort((a, b) => a - b);
    if (fills.length > 1) expect(least + second, `seed ${String(seed)}`).toBeGreaterThan(maxLength);
  }
});

const learnt = (...ids: number[]): TokenRow => ({ inputIds: ids, labels: ids });

test('a packing by hand', () => {
  const rows = [learnt(1, 2), { inputIds: [3, 4, 5], labels: [IGNORED_LABEL, IGNORED_LABEL, 5] }, learnt(6, 7, 8, 9)];
  const { sequences, report } = packRows(rows, { maxLength: 6 });
  expect(sequences).toEqual([
    {
      inputIds: Uint32Array.of(6, 7, 8, 9, 1, 2),
      labels: Int32Array.of(7, 8, 9, IGNORED_LABEL, 2, IGNORED_LABEL),
      positions: Uint32Array.of(0, 1, 2, 3, 0, 1),
      segments: [
        [0, 4],
        [4, 6],
      ],
      rows: [2, 0],
      tokens: 6,
      labelTokens: 4,
    },
    {
      inputIds: Uint32Array.of(3, 4, 5, 0, 0, 0),
      labels: Int32Array.of(IGNORED_LABEL, 5, IGNORED_LABEL, IGNORED_LABEL, IGNORED_LABEL, IGNORED_LABEL),
      positions: Uint32Array.of(0, 1, 2, 0, 0, 0),
      segments: [[0, 3]],
      rows: [1],
      tokens: 3,
      labelTokens: 1,
    },
  ]);
  expect(report).toEqual({ split: 0, truncated: 0, truncatedTokens: 0, dropped: 0, droppedTokens: 0 });
});

test('too long rows: running text is split, a conversation cut off, both counted', () => {
  const long = Array.from({ length: 10 }, (_, i) => i + 1);
  const rows = [
    { ...learnt(...long), continuous: true },
    learnt(...long),
    // What is learnt lies behind the cut, or at the first token: nothing is left to learn.
    { inputIds: long, labels: long.map((id) => (id > 4 ? id : IGNORED_LABEL)) },
    { inputIds: [1, 2], labels: [1, IGNORED_LABEL] },
    learnt(),
  ];
  const { pieces, report } = fitRows(rows, 3);
  expect(pieces).toEqual([
    { row: 0, start: 0, end: 3 },
    { row: 0, start: 3, end: 6 },
    { row: 0, start: 6, end: 9 },
    { row: 1, start: 0, end: 3 },
  ]);
  expect(report).toEqual({ split: 1, truncated: 2, truncatedTokens: 14, dropped: 4, droppedTokens: 6 });
  expect(() => fitRows([{ inputIds: [1, 2], labels: [1] }], 8)).toThrow('Row 0 has 2 tokens but 1 labels');
  expect(() => fitRows(rows, 1)).toThrow(RangeError);
  expect(() => fitRows(rows, 2.5)).toThrow(RangeError);
});

test('a prepared row is padded as it is', () => {
  const { labels, segments, tokens, labelTokens } = padRow(
    { inputIds: [5, 6], labels: [5, IGNORED_LABEL] },
    { maxLength: 4 },
  );
  expect([Array.from(labels), segments, tokens, labelTokens]).toEqual([
    new Array(4).fill(IGNORED_LABEL),
    [[0, 2]],
    2,
    0,
  ]);
  expect(padRow(learnt(), { maxLength: 2 }).segments).toEqual([]);
  expect(() => padRow(learnt(1, 2, 3), { maxLength: 2 })).toThrow('3 tokens does not fit into 2');
  expect(() => padRow({ inputIds: [1], labels: [] }, { maxLength: 2 })).toThrow(RangeError);
});

seeded('attention ranges are the causal mask within segments, from both sides', ({ seed: first }) => {
  for (let round = 0; round < rounds(20); round++) {
    const seed = first + round;
    const random = Xoshiro128.from(seed);
    const length = 1 + random.below(50);
    const segments: [number, number][] = [];
    for (let at = random.below(3); at < length;) {
      const end = Math.min(length, at + random.below(12));
      segments.push([at, end]);
      at = end + random.below(3);
    }
    const { kBegin, kEnd, qBegin, qEnd } = tokenRanges(segments, length);
    const segmentOf = (t: number) => segments.findIndex(([start, end]) => t >= start && t < end);
    const mask = (sees: (q: number, k: number) => boolean) =>
      Array.from({ length }, (_, q) => Array.from({ length }, (_, k) => (sees(q, k) ? 'x' : '.')).join(''));
    const causal = mask((q, k) => q === k || (segmentOf(q) >= 0 && segmentOf(q) === segmentOf(k) && k <= q));
    expect(
      mask((q, k) => k >= kBegin[q]! && k < kEnd[q]!),
      `seed ${String(seed)}`,
    ).toEqual(causal);
    expect(
      mask((q, k) => q >= qBegin[k]! && q < qEnd[k]!),
      `seed ${String(seed)}`,
    ).toEqual(causal);
  }
  for (const segments of [
    [[0, 5]],
    [[2, 1]],
    [[-1, 2]],
    [
      [0, 3],
      [2, 4],
    ],
  ] as [number, number][][]) {
    expect(() => tokenRanges(segments, 4)).toThrow(RangeError);
  }
});

test('packing is close to full, and reads each token once', () => {
  const random = Xoshiro128.from(5);
  const rows = Array.from({ length: 20_000 }, () => {
    const inputIds = new Int32Array(4 + random.below(400)).fill(1);
    return { inputIds, labels: inputIds };
  });
  let reads = 0;
  const counted = (ids: Int32Array): ArrayLike<number> =>
    new Proxy(ids, {
      get(target, key) {
        if (key === 'length') return target.length;
        reads += 1;
        return target[Number(key)];
      },
    });
  const { sequences } = packRows(rows, { maxLength: 2048 });
  const few = rows.slice(0, 1000);
  const packed = packRows(
    few.map(({ inputIds, labels }) => ({ inputIds: counted(inputIds), labels: counted(labels) })),
    { maxLength: 2048 },
  );
  // Of each row every id and every label but the first, which nothing predicts; and one label more, which shows that it teaches.
  expect(reads).toBe(2 * packed.sequences.reduce((sum, { tokens }) => sum + tokens, 0));
  const tokens = sequences.reduce((sum, sequence) => sum + sequence.tokens, 0);
  expect(tokens / (sequences.length * 2048)).toBeGreaterThan(0.99);
});
