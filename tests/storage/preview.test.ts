import 'fake-indexeddb/auto';
import { describe, expect, it } from 'vitest';
import { database } from '../../src/storage/database.ts';
import { CURVE_POINTS, extendCurve, type LossCurve } from '../../src/storage/preview.ts';
import type { MetricsRecord, SamplePoint, StepPoint } from '../../src/storage/records.ts';
import {
  appendMetrics,
  deleteRun,
  deleteSampleFiles,
  readHistory,
  readPreview,
  rewindHistory,
  sampleFileBytes,
} from '../../src/storage/runs.ts';
import { smallCurve } from '../support/curve.ts';

const EMPTY: LossCurve = { steps: 0, losses: [] };

const stepAt = (step: number): StepPoint => ({
  step,
  loss: 4 / step,
  learningRate: 1e-4,
  gradNorm: 1,
  tokens: 8,
  seconds: 0.1,
});
const png = (bytes: number): Blob => new Blob([new Uint8Array(bytes)], { type: 'image/png' });
const sampleAt = (step: number, bytes: number): SamplePoint => ({
  step,
  prompt: 'a cat',
  seed: 1,
  base: png(100),
  tuned: png(bytes),
});

/** A piece of history of the steps from..to. */
function piece(runId: string, sequence: number, from: number, to: number, samples: SamplePoint[] = []): MetricsRecord {
  const steps = Array.from({ length: to - from + 1 }, (_, i) => stepAt(from + i));
  return { runId, sequence, steps, evaluations: [], samples };
}

/** The curve that the whole history gives. */
const wholeCurve = async (runId: string): Promise<number[]> =>
  smallCurve((await readHistory(runId)).steps.map(({ loss }) => loss));

describe('the small curve', () => {
  it('is the same however the losses come, and has at most so many points', () => {
    const losses = Array.from({ length: 1000 }, (_, i) => 1000 - i);
    let one = EMPTY;
    for (const [i, loss] of losses.entries()) {
      one = extendCurve(one, [loss]);
      expect(one).toEqual({ steps: i + 1, losses: smallCurve(losses.slice(0, i + 1)) });
      expect(one.losses.length).toBeLessThanOrEqual(CURVE_POINTS);
      expect(one.losses.length).toBeGreaterThan(i < CURVE_POINTS ? i : CURVE_POINTS / 2 - 1);
    }
    for (const size of [7, 64, 65, 300]) {
      let pieces = EMPTY;
      for (let at = 0; at < losses.length; at += size) pieces = extendCurve(pieces, losses.slice(at, at + size));
      expect(pieces).toEqual(one);
    }
    expect(one.losses).toEqual(losses.filter((_, i) => i % 16 === 0));
  });
});

describe('the preview of a run', () => {
  it('is written with each piece of its history, and is what the whole history gives', async () => {
    for (let sequence = 0; sequence < 30; sequence++) {
      await appendMetrics(piece('grows', sequence, sequence * 7 + 1, sequence * 7 + 7));
      expect((await readPreview('grows')).losses).toEqual(await wholeCurve('grows'));
    }
    expect((await readHistory('grows')).steps).toHaveLength(210);
  });

  it('is not written where its history is not', async () => {
    await appendMetrics(piece('whole', 0, 1, 3));
    const before = await readPreview('whole');
    const broken = { ...piece('whole', 1, 4, 6), samples: [(() => undefined) as unknown as SamplePoint] };
    await expect(appendMetrics(broken)).rejects.toThrow();
    expect(await readPreview('whole')).toEqual(before);
    expect(before.losses).toEqual(await wholeCurve('whole'));
  });

  it('goes back with its history when a run goes on from a checkpoint', async () => {
    await appendMetrics(piece('back', 0, 1, 100, [sampleAt(50, 10), sampleAt(100, 20)]));
    await appendMetrics(piece('back', 1, 101, 200, [sampleAt(150, 30)]));
    expect((await readPreview('back')).picture?.size).toBe(30);
    expect(await rewindHistory('back', 120)).toBe(2);
    expect((await readPreview('back')).picture?.size).toBe(20);
    expect((await readHistory('back')).steps).toHaveLength(120);
    expect((await readPreview('back')).losses).toEqual(await wholeCurve('back'));
    await appendMetrics(piece('back', 2, 121, 140));
    expect((await readPreview('back')).losses).toEqual(await wholeCurve('back'));
    expect(await rewindHistory('back', 10)).toBe(3);
    expect((await readPreview('back')).picture).toBeNull();
    expect(await rewindHistory('nothing yet', 0)).toBe(0);
  });

  it('knows what the files of its samples take, and forgets them with them', async () => {
    const said = { step: 1, prompt: 'hello', base: 'a', tuned: 'b' };
    await appendMetrics(piece('made', 0, 1, 2, [sampleAt(1, 10), said]));
    await appendMetrics(piece('made', 1, 3, 4, [sampleAt(3, 25)]));
    // Of the picture that lists show there is one more copy.
    expect(await sampleFileBytes('made')).toBe(100 + 10 + 100 + 25 + 25);
    await deleteSampleFiles('made');
    expect(await sampleFileBytes('made')).toBe(0);
    expect((await readPreview('made')).picture).toBeNull();
    expect((await readPreview('made')).losses).toEqual(await wholeCurve('made'));
    expect((await readHistory('made')).samples).toEqual([said]);
    await deleteRun('made');
    const db = await database();
    for (const store of ['metrics', 'previews', 'previewPictures'] as const) {
      const keys = (await db.getAllKeys(store)).map((key) => [key].flat()[0]);
      expect(keys, store).not.toContain('made');
    }
  });
});
