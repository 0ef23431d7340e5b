import { expect, it } from 'vitest';
import { PING_MS, SILENT_PINGS } from '../../src/worker/supervised-worker.ts';
import { beginProject, goToStep, openExample, paste, visit, workerOf } from './visit.ts';

const MINUTES = 60_000;

it(
  'a worker that hangs in the middle of a run is offered to be restarted, and the run goes on from its checkpoint',
  async () => {
    const visitor = await visit();
    try {
      const { page } = visitor;
      await page.clock.install();
      await openExample(page, { steps: 2000, saveEvery: 3, sampleEvery: 0 });
      await page.getByRole('button', { name: 'Train', exact: true }).click();
      const run = page.getByRole('region', { name: 'The run' });
      await run.getByText(/^Step ([4-9]|\d\d+) of/).waitFor({ timeout: 4 * MINUTES });
      const worker = await workerOf(page, 'model');
      await worker.evaluate(() => {
        setTimeout(() => {
          for (;;);
        });
      });
      // A minute of the page's time; what the worker had said until then is heard before.
      await page.clock.runFor(2 * PING_MS);
      await page.clock.runFor((SILENT_PINGS + 1) * PING_MS);
      const offer = page.getByRole('alert').filter({ hasText: 'has not answered for a minute' });
      await offer.getByText(/^The worker that runs the models/).waitFor({ timeout: MINUTES });
      await offer.getByRole('button', { name: 'Restart' }).click();
      await page
        .getByRole('alert')
        .getByText(/was started anew\. The run ended with it; its checkpoints are kept/)
        .waitFor({ timeout: MINUTES });
      await page.getByText(/^The run was interrupted at step \d+\.$/).waitFor({ timeout: MINUTES });
      const goOn = run.getByRole('button', { name: /^Go on from step \d+$/ });
      const from = Number((await goOn.innerText()).match(/\d+/)?.[0]);
      expect(from).toBeGreaterThanOrEqual(3);
      await goOn.click();
      await page.waitForFunction(
        (step) => {
          const shown = /^Step (\d+) of 2000$/m.exec(document.querySelector('main')?.innerText ?? '');
          return Number(shown?.[1]) > step;
        },
        from,
        { timeout: 4 * MINUTES },
      );
      await run.getByRole('button', { name: 'Stop and keep' }).click();
      await page.getByText(/^Stopped at step \d+ of 2000, and kept\./).waitFor({ timeout: MINUTES });
    } finally {
      await visitor.leave();
    }
  },
  14 * MINUTES,
);

it(
  'a worker that crashes while it reads is started anew: what was kept is there, and what is read next is added',
  async () => {
    const visitor = await visit();
    try {
      const { page } = visitor;
      await beginProject(page);
      await goToStep(page, 'Data');
      await paste(page, '{"text":"kept before"}');
      await page.getByRole('heading', { name: '1 row', exact: true }).waitFor({ timeout: MINUTES });
      const worker = await workerOf(page, 'data');
      await worker.evaluate(() => {
        setTimeout(() => {
          throw new Error('a crash on purpose');
        });
      });
      await page
        .getByRole('alert')
        .getByText(/^The worker that keeps the data crashed \(.*a crash on purpose\) and was started anew\./)
        .waitFor({ timeout: MINUTES });
      // Read anew: of its history nothing is left, of what was kept everything.
      const undo = page.getByRole('button', { name: 'Undo' });
      await expect.poll(() => undo.isDisabled(), { timeout: MINUTES }).toBe(true);
      await page.getByText('kept before').waitFor();
      await paste(page, '{"text":"read after"}');
      await page.getByRole('heading', { name: '2 rows', exact: true }).waitFor({ timeout: MINUTES });
      await page.getByText('read after').waitFor();
      // What is written now outlasts the page.
      await page.reload();
      await page.getByRole('heading', { name: '2 rows', exact: true }).waitFor({ timeout: MINUTES });
      expect(visitor.errors.filter((error) => !error.includes('a crash on purpose'))).toEqual([]);
    } finally {
      await visitor.leave();
    }
  },
  5 * MINUTES,
);
