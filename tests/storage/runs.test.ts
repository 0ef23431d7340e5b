import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import { storageError } from '../../src/storage/errors.ts';
import { formatBytes } from '../../src/common/format.ts';
import { checkpointsToDrop } from '../../src/storage/runs.ts';

describe('which checkpoints give way', () => {
  it('keeps the newest and the wanted ones, and spreads the rest', () => {
    const kept: number[] = [];
    for (let step = 10; step <= 1000; step += 10) {
      kept.push(step);
      for (const dropped of checkpointsToDrop(kept, 5, [200])) kept.splice(kept.indexOf(dropped), 1);
      expect(kept.length).toBeLessThanOrEqual(5);
      expect(kept).toContain(step);
      if (step >= 200) expect(kept).toContain(200);
    }
    // Early moments can still be tried.
    expect(Math.min(...kept)).toBeLessThan(500);
  });

  it('drops nothing within the limit, and never what must stay', () => {
    expect(checkpointsToDrop([1, 2, 3], 3)).toEqual([]);
    expect(checkpointsToDrop([1, 2, 3], 1, [1, 2])).toEqual([]);
  });
});

describe('what the stores throw', () => {
  it('says of a full disk what could not be kept, and that the rest is there', () => {
    const error = storageError(new DOMException('full', 'QuotaExceededError'), 'the checkpoint at step 40');
    expect(error).toBeInstanceOf(UserError);
    expect(error.message).toMatch(/full, so the checkpoint at step 40 could not be kept.*still there.*Settings/);
  });

  it('says of a private window what to do', () => {
    expect(storageError(new DOMException('no', 'InvalidStateError'), 'your projects').message).toMatch(
      /Private windows/,
    );
  });

  it('leaves sentences for the person and defects of ours as they are', () => {
    const sentence = new UserError('Pick another file.');
    expect(storageError(sentence, 'x')).toBe(sentence);
    const defect = new TypeError('x is undefined');
    expect(storageError(defect, 'x')).toBe(defect);
  });
});

describe('sizes in words', () => {
  it.each([
    [0, '0 bytes'],
    [999, '999 bytes'],
    [1000, '1.0 kB'],
    [12_345, '12 kB'],
    [999_600, '1.0 MB'],
    [3_200_000_000, '3.2 GB'],
  ])('%d', (bytes, words) => {
    expect(formatBytes(bytes)).toBe(words);
  });
});
