import { mkdtempSync, openSync, closeSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { beginProject, goToStep, visit } from './visit.ts';

const BYTES = 100_000_000;
/** A page that does not answer for longer than this feels frozen. */
const LONGEST_STANDSTILL = 1000;

/** How long a timer of 20 ms was late at most, in a process that does nothing: what the machine itself holds up. */
function watchMachine(): () => number {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last - 20);
    last = now;
  }, 20);
  return () => {
    clearInterval(timer);
    return longest;
  };
}

it('reads 100 MB of conversations without freezing, and pages, searches and undoes in them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'athanor-large-'));
  const path = join(folder, 'large.jsonl');
  const file = openSync(path, 'w');
  let rows = 0;
  for (let written = 0; written < BYTES;) {
    let piece = '';
    for (let i = 0; i < 500; i++) {
      rows += 1;
      const messages = [
        { role: 'user', content: `Question number ${rows}? ${'Tell me about the sea. '.repeat(rows % 9)}` },
        {
          role: 'assistant',
          content: `Answer ${rows}. ${'The sea is wide and the night is long. '.repeat(1 + (rows % 17))}`,
        },
      ];
      piece += `${JSON.stringify({ messages })}\n`;
    }
    written += writeSync(file, piece);
  }
  closeSync(file);
  const visitor = await visit();
  try {
    const { page } = visitor;
    await beginProject(page);
    await goToStep(page, 'Data');
    await page.evaluate(() => {
      const watch = window as unknown as { longest: number };
      watch.longest = 0;
      let last = performance.now();
      setInterval(() => {
        const now = performance.now();
        watch.longest = Math.max(watch.longest, now - last - 20);
        last = now;
      }, 20);
    });
    const machine = watchMachine();
    await page.setInputFiles('input[type="file"]:not([webkitdirectory])', path);
    await page.getByRole('progressbar', { name: 'Reading' }).waitFor();
    const heading = `${rows.toLocaleString('en')} rows`;
    await page.getByRole('heading', { name: heading }).waitFor({ timeout: 240_000 });
    await page.getByText('Is it enough?').waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Last' }).click();
    await page.getByText(`Question number ${rows}?`).waitFor();
    await page.getByLabel('Search').fill('number 77777?');
    await page.getByText('Question number 77777?').waitFor({ timeout: 60_000 });
    await page
      .getByRole('button', { name: /^Remove row/ })
      .first()
      .click();
    await page.getByRole('heading', { name: `${(rows - 1).toLocaleString('en')} rows` }).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByRole('heading', { name: heading }).waitFor({ timeout: 60_000 });
    const longest = await page.evaluate(() => (window as unknown as { longest: number }).longest);
    expect(longest).toBeLessThan(LONGEST_STANDSTILL + machine());
    expect(visitor.errors).toEqual([]);
  } finally {
    await visitor.leave();
    rmSync(folder, { recursive: true, force: true });
  }
}, 600_000);
