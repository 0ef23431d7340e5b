// npm run demo: the main job from a terminal. A headless Chromium opens the built page, trains the example, and everything
// printed here is what the page itself shows; the adapter it offers for download is written to out/. With
// `-- --screenshot FILE.png` the page is also photographed when training is done.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { unzipSync } from 'fflate';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { chromiumArguments, chromiumEnvironment, findChromium } from './chromium.mjs';
import { serveFolder } from './static-server.mjs';

/** @typedef {import('playwright-core').Page} Page */

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, 'out');
/** A training run on a slow software adapter may take long; without any progress for this long, something is wrong. */
const STALL_MS = 300_000;

/** @param {Page} page @param {string} term the value beside a term of the run's numbers, as shown */
async function number(page, term) {
  const value = page
    .locator('dl > div', { has: page.locator('dt', { hasText: new RegExp(`^${term}$`) }) })
    .locator('dd');
  return (await value.count()) > 0 ? (await value.first().innerText()).trim() : '';
}

/** Prints steps and losses as they come; ends when the page says that it is done. @param {Page} page */
async function watch(page) {
  let last = '';
  let changed = Date.now();
  for (;;) {
    const alert = page.getByRole('alert');
    if ((await alert.count()) > 0) throw new Error(`The page says: ${await alert.first().innerText()}`);
    const heading = (await page.getByRole('heading', { level: 1 }).innerText()).trim();
    const progress = page.getByText(/^Step \d+ of \d+$/).first();
    const step = (await progress.count()) > 0 ? (await progress.innerText()).trim() : '';
    if (heading === 'Taught') return;
    if (step !== last) {
      last = step;
      changed = Date.now();
      const [loss, heldOut, speed] = [
        await number(page, 'Loss'),
        await number(page, 'Held out'),
        await number(page, 'Speed'),
      ];
      if (loss) console.log(`${step}: loss ${loss}${heldOut ? `, held out ${heldOut}` : ''}, ${speed}`);
    }
    if (Date.now() - changed > STALL_MS)
      throw new Error(`Nothing has happened for five minutes. The page's heading is “${heading}”.`);
    await page.waitForTimeout(500);
  }
}

/** @param {Page} page the base's and the tuned model's answers to the same words */
async function printSamples(page) {
  const articles = page.locator('section[aria-labelledby="samples"] article');
  for (const article of await articles.all()) {
    const [before, after] = (await article.locator('dd').allInnerTexts()).map((text) => text.trim());
    console.log(`\n  ${await article.getByRole('heading').innerText()}\n    before: ${before}\n    after:  ${after}`);
  }
}

/** @param {Page} page @returns {Promise<string>} the folder written */
async function takeAdapter(page) {
  await page.getByRole('button', { name: 'Make the files' }).click();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: /^Download .*\.zip$/ }).click(),
  ]);
  const archive = unzipSync(readFileSync(await download.path()));
  const folder = join(
    out,
    download
      .suggestedFilename()
      .replace(/\.zip$/, '')
      .replace(/[^\w-]+/g, '-'),
  );
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [path, bytes] of Object.entries(archive)) {
    const name = path.split('/').at(-1);
    if (!name) continue;
    writeFileSync(join(folder, name), bytes);
    console.log(`  ${name}, ${bytes.byteLength} bytes`);
  }
  return folder;
}

const { values } = parseArgs({ options: { screenshot: { type: 'string' } } });
const executablePath = findChromium();
if (!executablePath) {
  console.error(
    'No Chrome or Chromium was found: install one (on Debian: apt-get install chromium), or set CHROME_PATH.',
  );
  process.exit(1);
}
await build({ root, logLevel: 'warn' });
const server = await serveFolder(join(root, 'dist'));
const profile = mkdtempSync(join(tmpdir(), 'athanor-demo-'));
const env = Object.entries(chromiumEnvironment()).flatMap(([key, value]) =>
  value === undefined ? [] : [[key, value]],
);
const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  args: chromiumArguments(),
  env: Object.fromEntries(env),
  viewport: { width: 1280, height: 1180 },
  acceptDownloads: true,
});
let status = 0;
try {
  const page = await context.newPage();
  page.on('pageerror', (error) => console.error(`Error in the page: ${error.message}`));
  await page.goto(server.url);
  const started = Date.now();
  await page.getByRole('region', { name: 'A voice' }).getByRole('button', { name: 'Try the example' }).click();
  const train = page.getByRole('button', { name: 'Train', exact: true });
  await train.waitFor({ timeout: STALL_MS });
  const address = page.url();
  await train.click();
  await watch(page);
  console.log(`\nTaught in ${((Date.now() - started) / 1000).toFixed(0)} s. Last loss ${await number(page, 'Loss')}.`);
  console.log(
    `Memory planned ${await number(page, 'Memory planned')}, measured ${await number(page, 'Memory measured')}.`,
  );
  await printSamples(page);
  if (values.screenshot) {
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.screenshot({ path: values.screenshot });
  }
  await page.goto(address.replace(/train$/, 'share'));
  console.log('\nThe adapter:');
  console.log(`It lies in ${await takeAdapter(page)}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  status = 1;
} finally {
  await context.close();
  await server.close();
  rmSync(profile, { recursive: true, force: true });
}
process.exit(status);
