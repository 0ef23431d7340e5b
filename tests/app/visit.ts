import { AxeBuilder } from '@axe-core/playwright';
import type { Page, Worker } from 'playwright-core';
import { afterAll, beforeAll, expect } from 'vitest';
import { openBrowser, serveApp, type TestBrowser, type TestBrowserOptions } from '../support/browser.ts';

export interface Visit {
  page: Page;
  url: string;
  browser: TestBrowser;
  /** What the page reported as wrong: exceptions, and errors on the console. */
  errors: string[];
  leave(): Promise<void>;
}

export type VisitOptions = TestBrowserOptions & { landOn?: string };

/** A visitor with a browser of their own at the built page. */
export async function visit(options: VisitOptions = {}): Promise<Visit> {
  const server = await serveApp();
  const { url } = server;
  const browser = await openBrowser(options);
  const page = browser.context.pages()[0] ?? (await browser.context.newPage());
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  await page.goto(options.landOn ?? url);
  return {
    page,
    url,
    browser,
    errors,
    async leave() {
      await browser.close();
      await server.close();
    },
  };
}

/** One visitor for all tests of a file or of a `describe`, who comes before the first and leaves after the last. */
export function oneVisitor(options: VisitOptions = {}): Visit {
  let here: Visit;
  beforeAll(async () => {
    here = await visit(options);
  });
  afterAll(() => here.leave());
  return {
    get page() {
      return here.page;
    },
    get url() {
      return here.url;
    },
    get browser() {
      return here.browser;
    },
    get errors() {
      return here.errors;
    },
    leave: () => here.leave(),
  };
}

/** The windows in which every page must be accessible: a narrow one by day, a wide one by night. */
export const LOOKS = [
  { width: 320, colorScheme: 'light' },
  { width: 1440, colorScheme: 'dark' },
] as const;

/** A visitor with one of these windows. */
export const oneLooker = ({ width, colorScheme }: (typeof LOOKS)[number]): Visit =>
  oneVisitor({ viewport: { width, height: 800 }, colorScheme, reducedMotion: 'reduce' });

/** Every violation of WCAG 2.2 AA and of good practice in a line, so that a failure says where. */
export async function violations(page: Page): Promise<string[]> {
  const { violations: found } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze();
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
}

/** Waits until the page has drawn what it has: nothing loads, moves or is being worked at any more. */
export async function atRest(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const busy = document.querySelector('[role="progressbar"], [aria-busy="true"]');
    return !busy && document.fonts.status === 'loaded' && document.getAnimations().length === 0;
  });
  // What was changed last is laid out with the next frame.
  await page.evaluate(
    () => new Promise<void>((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve()))),
  );
}

/** The page's worker for models or for data, as it lives now. */
export async function workerOf(page: Page, name: 'model' | 'data'): Promise<Worker> {
  const find = (): Worker | undefined => page.workers().find((worker) => worker.url().includes(`${name}.worker`));
  await expect.poll(find, { timeout: 60_000 }).toBeDefined();
  return find()!;
}

/** Lets a worker's event loop go round so many times: whatever waits only for its turn has had it. */
export const turnsOf = (worker: Worker, turns: number): Promise<void> =>
  worker.evaluate(async (count) => {
    for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setTimeout(resolve));
  }, turns);

/** Pixels by which the page is wider than its window. At 320 px this is also what 400 % zoom shows on a usual screen. */
export const overflow = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

/** The page as it is, all of it opened, is accessible and does not scroll sideways. */
export async function checkLook(page: Page, shot?: string): Promise<void> {
  for (const details of await page.locator('details').all()) {
    await details.evaluate((element) => {
      (element as HTMLDetailsElement).open = true;
    });
  }
  if (shot !== undefined) await page.screenshot({ path: shot, fullPage: true });
  expect(await violations(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
}

export const STEPS = ['Ask', 'Data', 'Base', 'Train', 'Try', 'Share'] as const;
export type StepName = (typeof STEPS)[number];

export async function goToStep(page: Page, name: StepName): Promise<void> {
  await page
    .getByRole('navigation', { name: 'Steps of this project' })
    .getByRole('link', { name: new RegExp(name) })
    .click();
}

export type TaskName = 'A voice' | 'A look' | 'A sound';

/** A new project, open at its first step. */
export async function beginProject(page: Page, task: TaskName = 'A voice'): Promise<void> {
  await page.getByRole('region', { name: task }).getByRole('button', { name: 'Start your own' }).click();
  await page.getByRole('heading', { name: 'Would words do?' }).waitFor();
}

/** Adds rows on the Data step by pasting. */
export async function paste(page: Page, text: string): Promise<void> {
  await page.getByRole('button', { name: 'Paste text' }).click();
  await page.getByLabel('Text, or lines of JSON').fill(text);
  await page.getByRole('button', { name: 'Add it' }).click();
}

export interface RunSettings {
  steps: number;
  saveEvery: number;
  sampleEvery: number;
}

/** Opens the example and makes its run short enough for a processor that stands in for a graphics card. */
export async function openExample(page: Page, settings: RunSettings): Promise<void> {
  await page.getByRole('region', { name: 'A voice' }).getByRole('button', { name: 'Try the example' }).click();
  await page.getByRole('button', { name: 'Train', exact: true }).waitFor();
  await fillField(page, /Longest example/, '64');
  await page.getByText('More settings').click();
  await fillField(page, /Fixed number of steps/, String(settings.steps));
  await fillField(page, /Save every/, String(settings.saveEvery));
  await fillField(page, /Sample every/, String(settings.sampleEvery));
  await fillField(page, /Check every/, '0');
}

export async function fillField(page: Page, label: RegExp, value: string): Promise<void> {
  const field = page.getByLabel(label);
  await field.fill(value);
  await field.blur();
}
