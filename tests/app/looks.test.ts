import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  LOOKS,
  STEPS,
  atRest,
  beginProject,
  checkLook,
  goToStep,
  oneLooker,
  oneVisitor,
  paste,
  violations,
  visit,
} from './visit.ts';

const CHAT = JSON.stringify({
  messages: [
    { role: 'user', content: 'Hello there, and a word without end: ' + 'very'.repeat(60) },
    { role: 'assistant', content: 'Ahoy!' },
  ],
});

describe.each(LOOKS)('at $width px, $colorScheme', (look) => {
  const visitor = oneLooker(look);

  afterEach(() => {
    expect(visitor.errors.splice(0)).toEqual([]);
  });

  it('home, settings and a wrong address are accessible and do not scroll sideways', async () => {
    for (const hash of ['', '#/settings', '#/nowhere']) {
      await visitor.page.goto(visitor.url + hash);
      await visitor.page.locator('h1').waitFor();
      await checkLook(visitor.page);
    }
  });

  it('every step is, with data and a base', async () => {
    const { page } = visitor;
    await page.goto(visitor.url);
    await beginProject(page);
    await goToStep(page, 'Data');
    await paste(page, `${CHAT}\n${CHAT}\n{"text":"A page of text."}\n{broken`);
    await page.getByRole('heading', { name: '3 rows' }).waitFor();
    await goToStep(page, 'Base');
    await page.getByRole('button', { name: 'Choose the small voice of this page' }).click();
    await page.getByText('Holds in mind').waitFor({ timeout: 60_000 });
    for (const step of STEPS) {
      await goToStep(page, step);
      await page.locator('h1').waitFor();
      if (step === 'Data') {
        await page.getByLabel('Show exactly what will be trained').check();
        await page.locator('mark').first().waitFor();
      }
      if (step === 'Train') await page.getByText(/^Fits/).waitFor({ timeout: 60_000 });
      await atRest(page);
      await checkLook(visitor.page);
    }
  }, 120_000);
});

describe('with the keyboard', () => {
  const visitor = oneVisitor();

  beforeAll(async () => {
    await beginProject(visitor.page);
    await goToStep(visitor.page, 'Data');
    await paste(
      visitor.page,
      ['one', 'two', 'three'].map((text) => JSON.stringify({ text: `row ${text}` })).join('\n'),
    );
    await visitor.page.getByRole('heading', { name: '3 rows' }).waitFor();
  });

  it('moves focus to the heading of a new place, and back with the back button', async () => {
    const { page } = visitor;
    await goToStep(page, 'Ask');
    await page.waitForFunction(() => document.activeElement?.textContent === 'Would words do?');
    await page.goBack();
    await page.waitForFunction(() => document.activeElement?.textContent === 'What should it learn from?');
    expect(page.url()).toMatch(/\/data$/);
  });

  it('skips to the content', async () => {
    const { page } = visitor;
    await page.reload();
    await page.getByRole('heading', { name: '3 rows' }).waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('H1');
  });

  it('curates: move, remove, edit, undo and redo, and the disk agrees', async () => {
    const { page } = visitor;
    const texts = (): Promise<string[]> => page.locator('[data-row] .page').allInnerTexts();
    await page.getByRole('button', { name: 'Edit row 1' }).focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Delete');
    await page.getByRole('heading', { name: '2 rows' }).waitFor();
    expect(await texts()).toEqual(['row one', 'row three']);
    // Focus stays among the rows.
    await page.waitForFunction(() => document.activeElement?.closest('[data-row]') !== null);
    await page.keyboard.press('e');
    await page.keyboard.press('Control+a');
    await page.keyboard.type('row 3, changed');
    await page.keyboard.press('Control+Enter');
    await page.getByText('row 3, changed').waitFor();
    await page.keyboard.press('Control+z');
    await page.getByText('row three').waitFor();
    await page.keyboard.press('Control+z');
    await page.getByRole('heading', { name: '3 rows' }).waitFor();
    expect(await texts()).toEqual(['row one', 'row two', 'row three']);
    await page.keyboard.press('Control+Shift+z');
    await page.getByRole('heading', { name: '2 rows' }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: '2 rows' }).waitFor();
    expect(await texts()).toEqual(['row one', 'row three']);
  });
});

describe('where the graphics card cannot be used', () => {
  it('says so on the first page, and what to do', async () => {
    const visitor = await visit({
      args: [
        '--disable-features=WebGPU,WebGPUService',
        '--disable-webgpu',
        '--disable-gpu',
        '--disable-software-rasterizer',
      ],
    });
    try {
      const line = visitor.page.locator('.gpu');
      await line.getByText('What to do').waitFor();
      expect(await line.innerText()).toMatch(/WebGPU/);
      expect(await line.locator('li').count()).toBeGreaterThan(0);
      expect(await violations(visitor.page)).toEqual([]);
    } finally {
      await visitor.leave();
    }
  });
});
