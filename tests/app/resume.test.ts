import { expect, it } from 'vitest';
import { fillField, goToStep, openExample, oneVisitor, turnsOf, workerOf } from './visit.ts';

const STEPS = 12;
const MINUTES = 60_000;
const visitor = oneVisitor();

it(
  'goes on from the last checkpoint after a reload in the middle of a run',
  async () => {
    const { page } = visitor;
    await openExample(page, { steps: STEPS, saveEvery: 3, sampleEvery: 0 });
    await page.getByRole('button', { name: 'Train', exact: true }).click();
    await page.getByText(new RegExp(`^Step ([4-9]|1\\d) of ${STEPS}$`)).waitFor({ timeout: 4 * MINUTES });
    await page.reload();

    const goOn = page.getByRole('button', { name: /^Go on from step \d+$/ });
    await goOn.waitFor();
    const from = Number((await goOn.innerText()).match(/\d+/)?.[0]);
    expect(from % 3).toBe(0);
    expect(from).toBeGreaterThan(0);
    // What happened before the reload is still drawn.
    expect(await page.locator('figcaption').innerText()).toMatch(/Training loss went from/);
    await goOn.click();
    await page.getByText(`All ${STEPS} steps are done.`).waitFor({ timeout: 4 * MINUTES });

    // One unbroken curve: every step once, the early ones too.
    const steps = await page.evaluate(async () => {
      const open = indexedDB.open('athanor');
      const db = await new Promise<IDBDatabase>((resolve) => {
        open.onsuccess = () => resolve(open.result);
      });
      const request = db.transaction('metrics').objectStore('metrics').getAll();
      const records = await new Promise<{ steps: { step: number }[] }[]>((resolve) => {
        request.onsuccess = () => resolve(request.result as { steps: { step: number }[] }[]);
      });
      db.close();
      return records.flatMap((record) => record.steps.map((point) => point.step));
    });
    expect(steps).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
    expect(visitor.errors).toEqual([]);
  },
  12 * MINUTES,
);

it(
  'pauses, goes on, and stops with everything kept',
  async () => {
    const { page } = visitor;
    // Long enough to be stopped before its end, however fast the machine.
    await page.getByText('More settings').click();
    await fillField(page, /Fixed number of steps/, '2000');
    await page.getByRole('button', { name: 'Train anew' }).click();
    const run = page.getByRole('region', { name: 'The run' });
    await run.getByText(/^Step [1-9]/).waitFor({ timeout: 4 * MINUTES });
    await run.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('heading', { name: 'Paused', level: 1 }).waitFor({ timeout: MINUTES });
    const at = await run.getByText(/^Step \d+ of/).innerText();
    await turnsOf(await workerOf(page, 'model'), 300);
    expect(await run.getByText(/^Step \d+ of/).innerText()).toBe(at);
    // What was taught so far can be taken along meanwhile.
    await goToStep(page, 'Share');
    await page.getByRole('button', { name: 'Make the files' }).click();
    await page.getByRole('button', { name: /^Download .*\.zip$/ }).waitFor({ timeout: MINUTES });
    await goToStep(page, 'Train');
    await run.getByRole('button', { name: 'Go on' }).click();
    await page.getByRole('heading', { name: 'Training', level: 1 }).waitFor();
    await run.getByRole('button', { name: 'Stop and keep' }).click();
    await page.getByText(/^Stopped at step \d+ of 2000, and kept\./).waitFor({ timeout: MINUTES });
    // Focus is on the heading that says so, not lost with the button that is gone.
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('H1');
    await run.getByRole('button', { name: /Go on from step/ }).waitFor();
  },
  8 * MINUTES,
);
