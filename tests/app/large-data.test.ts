import { mkdtempSync, openSync, closeSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { beginProject, goToStep, visit } from './visit.ts';

/** Rows that are shown at once. */
const PAGE_ROWS = 20;

const BYTES = 100_000_000;
/** Characters of the largest message that the page gets: some twenty rows and what is said about them. */
const LARGEST_MESSAGE = 100_000;
/** Characters of all of them: of the file the page hears a small part. Most say how far the reading is, one for each piece. */
const ALL_MESSAGES = BYTES / 20;

interface Watch {
  messages: number;
  largest: number;
  characters: number;
  /** Bytes of files that the page itself read. */
  read: number;
}

/** Counts what the page's own thread has to do: what it hears from its workers, and what it reads of files. Runs in the page. */
function watchPage(): void {
  const watch: Watch = { messages: 0, largest: 0, characters: 0, read: 0 };
  Object.assign(window, { watch });
  const heard = new WeakSet<Event>();
  const hear = (event: Event): void => {
    if (!(event instanceof MessageEvent) || heard.has(event)) return;
    heard.add(event);
    watch.messages += 1;
    const { length } = JSON.stringify(event.data) ?? '';
    watch.largest = Math.max(watch.largest, length);
    watch.characters += length;
  };
  for (const sender of [Worker, MessagePort]) {
    const listen = sender.prototype.addEventListener as EventTarget['addEventListener'];
    sender.prototype.addEventListener = function (this: EventTarget, type: string, ...rest: never[]) {
      if (type === 'message') EventTarget.prototype.addEventListener.call(this, type, hear);
      listen.call(this, type, ...(rest as unknown as [EventListener]));
    };
  }
  for (const name of ['arrayBuffer', 'text', 'stream', 'slice'] as const) {
    const read = Blob.prototype[name] as (...range: unknown[]) => unknown;
    Object.assign(Blob.prototype, {
      [name](this: Blob, ...range: unknown[]) {
        if (this instanceof File) watch.read += this.size;
        return read.apply(this, range);
      },
    });
  }
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
    await page.addInitScript(watchPage);
    await page.reload();
    await beginProject(page);
    await goToStep(page, 'Data');
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
    // A page freezes where it does work itself. Whatever the machine, it does little: it reads nothing of the file, and hears of it
    // in small messages, most of which say how far the reading is.
    const watch = await page.evaluate(() => (window as unknown as { watch: Watch }).watch);
    expect(watch.read).toBe(0);
    // It does hear of it.
    expect(watch.messages).toBeGreaterThan(50);
    expect(watch.largest).toBeLessThan(LARGEST_MESSAGE);
    expect(watch.characters).toBeLessThan(ALL_MESSAGES);
    expect(await page.locator('[data-row]').count()).toBeLessThanOrEqual(PAGE_ROWS);
    expect(visitor.errors).toEqual([]);
  } finally {
    await visitor.leave();
    rmSync(folder, { recursive: true, force: true });
  }
}, 600_000);
