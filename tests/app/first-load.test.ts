import { expect, test } from 'vitest';
import { MOST_BYTES, firstLoad } from '../../tools/first-load.mjs';
import { visit } from './visit.ts';

test('before the first click the page fetches what the build counts, and nothing else', async () => {
  const { page, url, errors, leave } = await visit({ landOn: 'about:blank' });
  try {
    const fetched = new Set<string>();
    page.context().on('request', (request) => {
      if (request.url().startsWith(url)) fetched.add(new URL(request.url()).pathname.slice(1) || 'index.html');
    });
    await page.goto(url);
    await page.getByRole('heading', { name: 'Your projects' }).waitFor();
    // The graphics card is told by the worker, which is started here.
    await page.getByText('None yet.').waitFor();
    await page.locator('[data-tone=slow]').waitFor();
    await page.waitForLoadState('networkidle');
    const files = firstLoad('dist');
    expect([...fetched].sort()).toEqual(files.map(({ file }) => file).sort());
    expect(files.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(MOST_BYTES);
    expect(errors).toEqual([]);
  } finally {
    await leave();
  }
});

test('a part of the page that does not come is said so, and comes when it is asked for again', async () => {
  const { page, leave } = await visit();
  try {
    const part = /assets\/SettingsPage-.*\.js/;
    await page.route(part, (route) => route.abort());
    await page.getByRole('link', { name: 'Settings' }).click();
    await page.getByRole('heading', { name: 'This part of the page could not be fetched' }).waitFor();
    await page.unroute(part);
    await page.goBack();
    await page.getByRole('heading', { name: 'Your projects' }).waitFor();
    await page.getByRole('link', { name: 'Settings' }).click();
    const heading = page.getByRole('heading', { name: 'Settings', level: 1 });
    await heading.waitFor();
    // Focus follows to what was waited for.
    await expect.poll(() => heading.evaluate((element) => element === document.activeElement)).toBe(true);
  } finally {
    await leave();
  }
});
