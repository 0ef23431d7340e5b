import { expect, it } from 'vitest';
import { openExample, visit } from './visit.ts';

const MINUTES = 60_000;

it(
  'keeps what was learnt when the graphics card is lost, says so, and goes on from there',
  async () => {
    const visitor = await visit();
    try {
      const { page } = visitor;
      await openExample(page, { steps: 2000, saveEvery: 3, sampleEvery: 0 });
      await page.getByRole('button', { name: 'Train', exact: true }).click();
      const run = page.getByRole('region', { name: 'The run' });
      await run.getByText(/^Step ([4-9]|\d\d+) of/).waitFor({ timeout: 4 * MINUTES });
      const session = await visitor.browser.context.newCDPSession(page);
      await session.send('Browser.crashGpuProcess');
      await page
        .getByRole('alert')
        .getByText(/The run broke off\. The graphics card stopped answering.*up to the last checkpoint is kept/)
        .waitFor({ timeout: MINUTES });
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
  12 * MINUTES,
);
