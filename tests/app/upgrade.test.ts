import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Locator } from 'playwright-core';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { fixtureRecords, readDatabaseFixture, restoreInPage } from '../support/database-fixture.ts';
import type { CheckpointV3, RunV3 } from '../support/database-v3.ts';
import { fillField, goToStep, oneVisitor } from './visit.ts';

// What tests/support/write-database-fixture.mjs did with an older build, found again with this one.
const MINUTE = 60_000;
const fixture = readDatabaseFixture('database-v3');
const visitor = oneVisitor({ landOn: 'about:blank' });

beforeAll(() => restoreInPage(visitor.page, visitor.url, fixture));

afterEach(() => {
  expect(visitor.errors.splice(0)).toEqual([]);
});

const card = (name: string): Locator =>
  visitor.page.locator('.card').filter({ has: visitor.page.getByRole('link', { name, exact: true }) });

async function openProject(name: string): Promise<void> {
  await visitor.page.goto(visitor.url);
  await visitor.page.getByRole('link', { name, exact: true }).click();
}

/** All pictures of a place have arrived: none is broken. */
async function shown(pictures: Locator, count: number): Promise<void> {
  const widths = () => pictures.evaluateAll((all) => all.map((one) => (one as HTMLImageElement).naturalWidth > 0));
  await expect.poll(widths, { timeout: MINUTE }).toEqual(Array<boolean>(count).fill(true));
}

it('shows every project on Home, and the settings', async () => {
  const { page } = visitor;
  await page.goto(visitor.url);
  await card('The lighthouse keeper').waitFor({ timeout: MINUTE });
  expect(await card('The lighthouse keeper').innerText()).toMatch(/Taught, loss [\d.]+/);
  expect(await card('Zilo').innerText()).toMatch(/Taught, loss [\d.]+/);
  expect(await card('Oluna').innerText()).toMatch(/Taught, loss [\d.]+/);
  expect(await card('A new voice').innerText()).toMatch(/Interrupted at step \d+; can go on/);
  await shown(card('Zilo').locator('img'), 1);
  for (const name of ['The lighthouse keeper', 'Oluna', 'A new voice']) {
    await card(name).locator('svg').waitFor();
  }
  await page.getByRole('link', { name: 'Settings' }).click();
  expect(await page.getByLabel('Dark', { exact: true }).isChecked()).toBe(true);
  expect(await page.getByLabel('Its memory, in gigabytes').inputValue()).toBe('16');
  for (const line of [
    'Base tiny-llama',
    'Data of Oluna',
    'Checkpoints of Zilo',
    'Samples of Zilo',
    'Samples of Oluna',
  ]) {
    await page.getByText(line, { exact: true }).first().waitFor();
  }
});

it('opens a voice: rows, run and samples, and talks to what was taught', async () => {
  const { page } = visitor;
  await openProject('The lighthouse keeper');
  await page.getByText('All 4 steps are done.').waitFor({ timeout: MINUTE });
  expect(await page.locator('figcaption').innerText()).toContain('in 4 steps');
  const samples = page.locator('section[aria-labelledby="samples"] article');
  expect(await samples.count()).toBe(2);
  expect(await samples.first().innerText()).toMatch(/Base\s+\S[\s\S]*Tuned, step 4\s+\S/);
  await goToStep(page, 'Data');
  await page.getByRole('heading', { name: '220 rows' }).waitFor();
  await page.getByText('Coffee warms the bones').first().waitFor();
  await goToStep(page, 'Ask');
  expect(await page.getByLabel(/The background or instruction/).inputValue()).toBe('You are an old lighthouse keeper.');
  expect(await page.getByLabel(/Words do not hold it steady/).isChecked()).toBe(true);
  await goToStep(page, 'Try');
  await page.getByText(/^Of 1 vote: tuned better 1/).waitFor();
  await page.getByText('How they choose words').click();
  await fillField(page, /Longest answer/, '8');
  await page.getByLabel('Say something').fill('Hello! How are you?');
  await page.getByRole('button', { name: 'Say it' }).click({ timeout: MINUTE });
  await page.getByRole('group', { name: 'Your judgement of exchange 1' }).waitFor({ timeout: 3 * MINUTE });
  expect((await page.locator('.said').allInnerTexts()).filter((text) => text.trim() !== '')).toHaveLength(2);
});

it('opens a look: pictures, mask, run and samples, and draws with what was taught', async () => {
  const { page } = visitor;
  await openProject('Zilo');
  await page.getByText('All 4 steps are done.').waitFor({ timeout: MINUTE });
  const samples = page.getByRole('region', { name: 'What it draws' });
  for (const prompt of ['zilo in the desert', 'a red cat in the snow']) {
    const drawn = [`“${prompt}” as the base draws it`, `“${prompt}” as it is drawn after 4 steps of training`];
    for (const alt of drawn) await shown(samples.getByAltText(alt), 1);
  }
  await samples.getByRole('button', { name: 'Step 2' }).first().click();
  await samples.getByText('Tuned, step 2').first().waitFor();
  expect(await page.getByLabel(/^Seed of the first picture/).inputValue()).toBe('7');
  await goToStep(page, 'Data');
  await page.getByRole('heading', { name: '5 pictures', exact: true }).waitFor();
  await shown(page.locator('[data-picture] img'), 5);
  expect(await page.getByLabel('Words of zilo-02.png').inputValue()).toBe('zilo, written by hand');
  expect(await page.getByLabel(/Its word/).inputValue()).toBe('zilo');
  await page.getByText('Masked').waitFor();
  await page.getByRole('button', { name: /Picture 1, zilo-01\.png/ }).click();
  await page.getByRole('radio', { name: 'Mask' }).check();
  const shade = (x: number, y: number): Promise<number> =>
    page
      .locator('dialog canvas')
      .evaluate(
        (element: HTMLCanvasElement, [px, py]) =>
          element.getContext('2d')!.getImageData(px * element.width, py * element.height, 1, 1).data[3]!,
        [x, y] as const,
      );
  await expect.poll(() => shade(0.05, 0.05), { timeout: MINUTE }).toBe(255);
  expect(await shade(0.5, 0.5)).toBe(0);
  await page.keyboard.press('Escape');
  await goToStep(page, 'Try');
  await page.getByText(/^Of 1 vote:.* same 1/).waitFor();
  await page.getByText('How it is drawn').click();
  await fillField(page, /num_inference_steps/, '2');
  await page.getByRole('button', { name: 'Draw it' }).click();
  await page.getByRole('group', { name: /^Your judgement/ }).waitFor({ timeout: 3 * MINUTE });
  await shown(page.locator('article img'), 2);
});

it('opens a sound: song, clips, run and samples, and composes with what was taught', async () => {
  const { page } = visitor;
  await openProject('Oluna');
  await page.getByText('All 2 steps are done.').waitFor({ timeout: MINUTE });
  const samples = page.getByRole('region', { name: 'What it plays' });
  await samples.getByRole('button', { name: 'Play “an oluna dance on guitar” as the base plays it' }).waitFor();
  await page.waitForFunction(() => !document.querySelector('[data-play]:disabled'), null, { timeout: MINUTE });
  expect(await page.getByLabel(/^Seed of the first sound/).inputValue()).toBe('11');
  await goToStep(page, 'Data');
  await page.getByRole('heading', { name: /^1 song/ }).waitFor();
  expect(await page.getByLabel('Words of clip 1 of oluna-03.flac').inputValue()).toBe(
    'an oluna dance, written by hand',
  );
  await page.getByText('0:00.0 – 0:03.5').waitFor();
  await page.getByText('Left out', { exact: true }).waitFor();
  // The song's own bytes are there: a clip of it plays.
  await page.getByRole('button', { name: 'Play clip 1 of oluna-03.flac' }).click();
  await page.locator('[data-cursor]').waitFor({ timeout: MINUTE });
  await goToStep(page, 'Ask');
  expect(await page.getByLabel('It is the music of somebody other than me.').isChecked()).toBe(true);
  await goToStep(page, 'Try');
  await page.getByText(/^Of 1 vote:.* base better 1/).waitFor();
  await fillField(page, /^Seconds/, '0.5');
  await page.getByRole('button', { name: 'Compose it' }).click();
  await page.getByRole('group', { name: /^Your judgement/ }).waitFor({ timeout: 3 * MINUTE });
});

it('goes on with an interrupted run on a base from a folder', async () => {
  const { page } = visitor;
  await openProject('A new voice');
  const [run] = fixtureRecords<RunV3>(fixture, 'runs').filter(({ status }) => status === 'running');
  const steps = fixtureRecords<CheckpointV3>(fixture, 'checkpoints')
    .filter(({ runId }) => runId === run!.id)
    .map(({ step }) => step);
  const from = Math.max(...steps);
  await page.getByRole('button', { name: `Go on from step ${from}`, exact: true }).click();
  const step = page.getByText(/^Step \d+ of 100000$/);
  await expect
    .poll(async () => ((await step.count()) > 0 ? Number((await step.innerText()).match(/\d+/)?.[0]) : 0), {
      timeout: 4 * MINUTE,
    })
    .toBeGreaterThan(from);
  await page.getByRole('button', { name: 'Stop and keep' }).click();
  await page.getByText(/^Stopped at step \d+ of 100000, and kept\./).waitFor({ timeout: MINUTE });
  // Every step once, those of the older build too.
  await page.getByText('The curve as a table').click();
  const rows = await page.locator('figure details table tbody tr').allInnerTexts();
  const drawn = rows.map((row) => Number(row.match(/\d+/)?.[0]));
  expect(drawn[0]).toBe(1);
  expect(drawn.at(-1)).toBeGreaterThan(from);
  expect(new Set(drawn).size).toBe(drawn.length);
  await goToStep(page, 'Data');
  await page.getByRole('heading', { name: '409 rows' }).waitFor();
});

it('takes up the copy of a base that broke off', async () => {
  const { page } = visitor;
  const temporary = mkdtempSync(join(tmpdir(), 'athanor-base-'));
  try {
    const folder = join(temporary, 'half-arrived');
    cpSync('tests/fixtures/llama-gqa/base', folder, { recursive: true });
    await goToStep(page, 'Base');
    await page.getByText(/Has not fully arrived/).waitFor();
    await page.setInputFiles('input[aria-label="Model folder"]', folder);
    await page.getByRole('button', { name: 'Chosen half-arrived' }).waitFor({ timeout: MINUTE });
    await page.getByText('Holds in mind').waitFor({ timeout: MINUTE });
    expect(await page.getByText(/Has not fully arrived/).count()).toBe(0);
    expect(await page.getByRole('heading', { name: 'half-arrived', exact: true }).count()).toBe(1);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
});
