// node tests/support/write-database-fixture.mjs: writes tests/fixtures/database-v<N> anew, N being the version of the database
// that the page of this checkout writes. A visitor without a past goes through the built page and makes what it can make: the three
// examples, cut short and trained for a few steps, a voice of their own on a base from a folder, and a base that did not fully
// arrive. What then lies in IndexedDB and OPFS is the fixture: see tests/support/database-fixture.ts.
//
// Ids, times and drawn numbers are new in each writing. A fixture of an older version stays as it is: its build is what it is for.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { chromiumArguments, chromiumEnvironment, findChromium } from '../../tools/chromium.mjs';
import { serveFolder } from '../../tools/static-server.mjs';
import { dumpDatabase, dumpFiles } from './database-dump.mjs';

/** @typedef {import('playwright-core').Page} Page */

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const fixtures = join(root, 'tests/fixtures');
const MINUTE = 60_000;
const LETTER = Buffer.from('Dear friend, this is text alone.\n');

/** @param {Page} page @param {RegExp} label @param {string} value */
async function fill(page, label, value) {
  const field = page.getByLabel(label);
  await field.fill(value);
  await field.blur();
}

/** @param {Page} page @param {string} name */
async function goToStep(page, name) {
  const steps = page.getByRole('navigation', { name: 'Steps of this project' });
  await steps.getByRole('link', { name: new RegExp(name) }).click();
}

/** @param {Page} page @param {string} task */
async function openExample(page, task) {
  await page.getByRole('region', { name: task }).getByRole('button', { name: 'Try the example' }).click();
  await page.getByText(/^Fits/).waitFor({ timeout: 3 * MINUTE });
}

/**
 * Sets the run's fields and trains to its end. Rank 1 keeps the checkpoints small.
 * @param {Page} page @param {number} steps @param {[RegExp, string][]} fields
 */
async function train(page, steps, fields) {
  await page.getByText('More settings').click();
  for (const [label, value] of fields) await fill(page, label, value);
  await fill(page, /\bRank$/, '1');
  await fill(page, /Fixed number of steps/, String(steps));
  await page.getByRole('button', { name: 'Train', exact: true }).click();
  await page.getByText(`All ${steps} steps are done.`).waitFor({ timeout: 8 * MINUTE });
}

/** @param {Page} page @param {string} vote */
async function vote(page, vote) {
  await page.getByRole('button', { name: vote }).click({ timeout: 3 * MINUTE });
  await page.getByText(/^Of 1 vote/).waitFor();
}

/** The example of a voice: checked on rows kept aside, two checkpoints, samples of two prompts. @param {Page} page */
async function makeVoice(page) {
  await openExample(page, 'A voice');
  await page.getByLabel('Words to try along the way').fill('Hello! How are you?\nI had vegetable soup for lunch.');
  await fill(page, /Longest example/, '64');
  await train(page, 4, [
    [/Save every/, '2'],
    [/Sample every/, '2'],
    [/Check every/, '2'],
  ]);
  await goToStep(page, 'Try');
  await page.getByText('How they choose words').click();
  await fill(page, /Longest answer/, '8');
  await page.getByLabel('Say something').fill('Good night!');
  await page.keyboard.press('Enter');
  await vote(page, 'Tuned is better');
  await goToStep(page, 'Ask');
  await page.getByLabel(/The background or instruction/).fill('You are an old lighthouse keeper.');
  await page.getByLabel(/Words do not hold it steady/).check();
}

/** The example of a look, four of its pictures: one with a mask, one written and cut by hand. @param {Page} page */
async function makeLook(page) {
  await openExample(page, 'A look');
  await goToStep(page, 'Data');
  await page.setInputFiles('input[aria-label="Pictures to learn from"]', [
    { name: 'letter.png', mimeType: 'image/png', buffer: LETTER },
    {
      name: 'zilo-05.png',
      mimeType: 'image/png',
      buffer: readFileSync(join(root, 'public/examples/look/zilo-05.png')),
    },
  ]);
  await page.getByRole('heading', { name: '5 pictures', exact: true }).waitFor({ timeout: MINUTE });
  await page.getByLabel('Words of zilo-02.png').fill('zilo, written by hand');
  await page.keyboard.press('Tab');
  await page.getByRole('button', { name: /Picture 1, zilo-01\.png/ }).click();
  await page.getByRole('radio', { name: 'Mask' }).check();
  const canvas = await page.locator('dialog canvas').boundingBox();
  if (!canvas) throw new Error('The page shows no mask to paint.');
  await page.waitForTimeout(500);
  await page.mouse.move(canvas.x + canvas.width * 0.4, canvas.y + canvas.height * 0.5);
  await page.mouse.down();
  await page.mouse.move(canvas.x + canvas.width * 0.6, canvas.y + canvas.height * 0.5, { steps: 5 });
  await page.mouse.up();
  await page.locator('dialog button:enabled', { hasText: 'Clear the mask' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('Masked').waitFor();
  await page.getByRole('button', { name: /Picture 3, zilo-03\.png/ }).click();
  await page.getByRole('application', { name: /What is used/ }).focus();
  await page.keyboard.press('-');
  await page.keyboard.press('ArrowRight');
  await page.waitForTimeout(1500);
  await page.keyboard.press('Escape');

  await goToStep(page, 'Train');
  await page.getByLabel('Prompts to draw along the way').fill('zilo in the desert\na red cat in the snow');
  await page.getByLabel(/^Seed of the first picture/).fill('7');
  await fill(page, /Batch size/, '1');
  await train(page, 4, [
    [/Save every/, '4'],
    [/Sample every/, '2'],
    [/Steps of a sample/, '2'],
  ]);
  await goToStep(page, 'Try');
  await page.getByText('How it is drawn').click();
  await fill(page, /num_inference_steps/, '2');
  await page.getByRole('button', { name: 'Draw it' }).click();
  await vote(page, 'The same');
}

/** The example of a sound: one of its songs, with a clip left out, and a file that is none. @param {Page} page */
async function makeSound(page) {
  await openExample(page, 'A sound');
  await goToStep(page, 'Data');
  const one = 'oluna-03.flac';
  await page.setInputFiles('input[aria-label="Songs to learn from"]', {
    name: 'letter.wav',
    mimeType: 'audio/wav',
    buffer: LETTER,
  });
  await page.getByText(/^1 file left out/).waitFor({ timeout: MINUTE });
  await page.getByLabel(`Words of clip 1 of ${one}`).fill('an oluna dance, written by hand');
  await page.keyboard.press('Tab');
  await page.getByRole('button', { name: `Edges… of clip 1 of ${one}` }).click();
  await fill(page, /Ends at second/, '3.5');
  await page.getByText('0:00.0 – 0:03.5').waitFor({ timeout: MINUTE });
  await page.getByRole('button', { name: `Add a clip of ${one}` }).click();
  await page.getByLabel(new RegExp(`Learn from it: clip 2 of ${one}`)).uncheck({ timeout: MINUTE });
  await page.getByText('Left out', { exact: true }).waitFor();

  await goToStep(page, 'Train');
  await page.getByLabel('Prompts to compose along the way').fill('an oluna dance on guitar');
  await page.getByLabel(/^Seed of the first sound/).fill('11');
  await fill(page, /Longest stretch/, '0.5');
  await fill(page, /Batch size/, '1');
  await train(page, 2, [
    [/Save every/, '2'],
    [/Sample every/, '2'],
    [/Length of a sample/, '0.5'],
  ]);
  await goToStep(page, 'Try');
  await fill(page, /^Seconds/, '0.5');
  await page.getByRole('button', { name: 'Compose it' }).click();
  await vote(page, 'Base is better');
  await goToStep(page, 'Ask');
  await page.getByLabel('It is the music of somebody other than me.').check();
}

/** Runs inside of the page. @param {string[]} names of the one base's file, before and after */
async function renameInBases([from, to]) {
  const bases = await (await navigator.storage.getDirectory()).getDirectoryHandle('bases');
  for await (const directory of bases.values()) {
    const folder = /** @type {FileSystemDirectoryHandle} */ (directory);
    const file = await folder.getFileHandle(/** @type {string} */ (from));
    // Not in TypeScript's library yet.
    await /** @type {{ move(name: string | undefined): Promise<void> }} */ (/** @type {unknown} */ (file)).move(to);
  }
}

/** A voice of one's own: rows of every kind, a base from a folder, a run that broke off and one that stands in its middle. @param {Page} page @param {string} folder */
async function makeOwn(page, folder) {
  await page.getByRole('region', { name: 'A voice' }).getByRole('button', { name: 'Start your own' }).click();
  await page.getByRole('heading', { name: 'Would words do?' }).waitFor();
  await page.getByLabel('In your own words, for yourself and for the model card.').fill('How my grandmother told it');
  await goToStep(page, 'Data');
  await page.getByRole('button', { name: 'Paste text' }).click();
  const rows = [
    { id: 'first', text: 'A page of text.' },
    { text: 'ein zweites Blatt, 第三の紙, and a fourth' },
    { prompt: 'Once upon a time', completion: ' there was a mill.' },
    {
      messages: [
        { role: 'system', content: 'Speak softly.' },
        { role: 'user', content: 'Hello', name: 'Ada' },
        { role: 'assistant', content: 'Hm?', train: false },
        { role: 'user', content: 'Hello!' },
        { role: 'assistant', content: 'Ah.' },
      ],
    },
  ];
  // More than lie in one chunk.
  const more = Array.from({ length: 405 }, (_, i) => ({ text: `Sheet ${i + 1}.` }));
  const json = (/** @type {object[]} */ some) => some.map((row) => JSON.stringify(row));
  const lines = [...json(rows), '{broken', '{"unknown":1}', '{"text":""}', ...json(more)];
  await page.getByLabel('Text, or lines of JSON').fill(lines.join('\n'));
  await page.getByRole('button', { name: 'Add it' }).click();
  await page.getByRole('heading', { name: '409 rows' }).waitFor();
  await goToStep(page, 'Base');
  await page.setInputFiles('input[aria-label="Model folder"]', folder);
  await page.getByText('Holds in mind').waitFor({ timeout: MINUTE });
  await goToStep(page, 'Train');
  await page.getByText(/^Fits/).waitFor({ timeout: 3 * MINUTE });
  await page.getByText('More settings').click();
  await fill(page, /\bRank$/, '1');
  await fill(page, /Longest example/, '32');
  await fill(page, /Sample every/, '0');
  await fill(page, /Kept aside for checking/, '0');
  await fill(page, /Fixed number of steps/, '20');
  await page.getByLabel(/Fixed number of steps/).waitFor();
  await page.waitForTimeout(1500);
  // A run that breaks off: the base's weights are gone while it is loaded.
  await page.evaluate(renameInBases, ['2', 'away']);
  await page.reload();
  await page.getByRole('button', { name: 'Train', exact: true }).click();
  await page.getByText(/^The run broke off\./).waitFor({ timeout: 4 * MINUTE });
  await page.evaluate(renameInBases, ['away', '2']);
  await page.reload();
  await page.getByText('More settings').click();
  await fill(page, /Fixed number of steps/, '100000');
  await fill(page, /Save every/, '2');
  await page.getByRole('button', { name: /^(Train|Begin anew)$/ }).click();
  await page.getByText(/^Step ([2-9]|\d\d+) of 100000$/).waitFor({ timeout: 4 * MINUTE });
  await page.getByRole('button', { name: 'Stop and keep' }).click();
  await page.getByText(/^Stopped at step/).waitFor({ timeout: MINUTE });
  await page.getByRole('button', { name: 'Begin anew' }).click();
  await page.getByText(/^Step ([4-9]|\d\d+) of 100000$/).waitFor({ timeout: 4 * MINUTE });
  // A closed tab: the run still stands as running.
  await page.reload();
  await page.getByText(/^The run was interrupted at step/).waitFor({ timeout: MINUTE });
}

/** A base whose copy broke off: the folder's tokenizer changed on the disk after it was picked. @param {Page} page @param {string} folder */
async function breakOffBase(page, folder) {
  await goToStep(page, 'Base');
  const input = 'input[aria-label="Model folder"]';
  await page.locator(input).evaluate((element) => {
    element.addEventListener('change', (event) => event.stopImmediatePropagation(), { capture: true, once: true });
  });
  await page.setInputFiles(input, folder);
  const path = join(folder, 'tokenizer.json');
  const old = new Date(Date.now() - 86_400_000);
  utimesSync(path, old, old);
  await page.locator(input).evaluate((element) => element.dispatchEvent(new Event('change', { bubbles: true })));
  await page.getByText(/tokenizer\.json can no longer be read/).waitFor({ timeout: MINUTE });
  await page.getByText(/Has not fully arrived/).waitFor();
}

/** @param {Page} page */
async function setSettings(page) {
  await page.getByLabel('Keep the screen awake meanwhile').check();
  await page.getByLabel('Tell me when it is done').check();
  await page.getByRole('link', { name: 'Settings' }).click();
  await page.getByLabel('Dark', { exact: true }).check();
  await fill(page, /Its memory, in gigabytes/, '16');
  await page.waitForTimeout(500);
}

/** The page's examples with fewer files. @param {Page} page */
async function shortenExamples(page) {
  /** @param {string} path @param {(captions: { file: string }[]) => { file: string }[]} keep */
  const cut = async (path, keep) => {
    const captions = JSON.parse(readFileSync(join(root, 'public/examples', path), 'utf8'));
    await page.route(`**/examples/${path}`, (route) => route.fulfill({ json: keep(captions) }));
  };
  await cut('look/captions.json', (captions) => captions.slice(0, 4));
  await cut('sound/captions.json', (captions) => captions.filter(({ file }) => file === 'oluna-03.flac'));
}

const executablePath = findChromium();
if (!executablePath) throw new Error('No Chrome or Chromium was found: install one, or set CHROME_PATH.');
await build({ root, logLevel: 'warn' });
const server = await serveFolder(join(root, 'dist'));
const temporary = mkdtempSync(join(tmpdir(), 'athanor-fixture-'));
const env = Object.entries(chromiumEnvironment()).flatMap(([key, value]) =>
  value === undefined ? [] : [[key, value]],
);
const context = await chromium.launchPersistentContext(join(temporary, 'profile'), {
  executablePath,
  headless: true,
  args: chromiumArguments(),
  env: Object.fromEntries(env),
  viewport: { width: 1280, height: 900 },
});
try {
  await context.grantPermissions(['notifications'], { origin: new URL(server.url).origin });
  const arrived = join(temporary, 'tiny-llama');
  const brokenOff = join(temporary, 'half-arrived');
  for (const folder of [arrived, brokenOff]) cpSync(join(fixtures, 'llama-gqa/base'), folder, { recursive: true });
  const page = await context.newPage();
  await shortenExamples(page);
  const kinds = { makeVoice, makeLook, makeSound };
  for (const [name, make] of Object.entries(kinds)) {
    await page.goto(server.url);
    await make(page);
    await page.waitForTimeout(1500);
    console.log(`${name} is done.`);
  }
  await page.goto(server.url);
  await makeOwn(page, arrived);
  await breakOffBase(page, brokenOff);
  await goToStep(page, 'Train');
  await setSettings(page);
  await page.goto(`${server.url}icon.svg`);
  const fixture = await page.evaluate(dumpDatabase, 'athanor');
  fixture.files = await page.evaluate(dumpFiles, 'bases');
  const folder = join(fixtures, `database-v${fixture.version}`);
  mkdirSync(folder, { recursive: true });
  const packed = gzipSync(JSON.stringify(fixture, null, 1), { level: 9 });
  writeFileSync(join(folder, 'database.json.gz'), packed);
  for (const { name, records } of fixture.stores) {
    console.log(`${name}: ${records.length} records, ${JSON.stringify(records).length} characters`);
  }
  console.log(`${fixture.files.length} files in OPFS; ${packed.length} bytes in all.`);
} finally {
  await context.close();
  await server.close();
  rmSync(temporary, { recursive: true, force: true });
}
