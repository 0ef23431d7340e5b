import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { beginProject, goToStep, oneVisitor } from './visit.ts';
import { hostileFiles, photo, photos } from './look-pictures.ts';

const PICTURES = 'input[aria-label="Pictures to learn from"]';
const REAL = join(process.env['ATHANOR_SHARED'] ?? '../shared', 'data/images/dreambooth/dog6');
const MINUTE = 60_000;
const visitor = oneVisitor();

beforeEach(async () => {
  await visitor.page.goto(visitor.url);
  await beginProject(visitor.page, 'A look');
  await goToStep(visitor.page, 'Data');
});

afterEach(() => {
  expect(visitor.errors.splice(0)).toEqual([]);
});

const count = (name: string) => visitor.page.getByRole('heading', { name, exact: true });

describe('pictures that arrive', () => {
  it('shows them with the words of the pattern, and finds them again after a reload', async () => {
    const { page } = visitor;
    await page.setInputFiles(PICTURES, await photos(4));
    await count('4 pictures').waitFor({ timeout: MINUTE });
    await page.getByText(/There are 4 pictures; 10 to 40 are usual/).waitFor();
    await page.getByLabel(/Its word/).fill('zilo');
    await page.getByLabel(/Its word/).blur();
    await page.getByText(/now “a photo of zilo”/).waitFor();
    await page.waitForFunction(() =>
      [...document.querySelectorAll('textarea')].every(({ value }) => value === 'a photo of zilo'),
    );
    await page.reload();
    await count('4 pictures').waitFor();
    expect(await page.getByLabel('Words of photo-3.jpg').inputValue()).toBe('a photo of zilo');
    await page.waitForFunction(
      () =>
        [...document.querySelectorAll<HTMLImageElement>('[data-picture] img')].filter((i) => i.naturalWidth > 0)
          .length === 4,
    );
    // What they take is told under Settings.
    await page.getByRole('link', { name: 'Settings' }).click();
    await page
      .getByText(/Data of A new look/)
      .first()
      .waitFor();
  });

  it('takes photos as cameras made them', async () => {
    const { page } = visitor;
    const real = existsSync(REAL) ? readdirSync(REAL).filter((name) => /\.jpe?g$/.test(name)) : [];
    const files = real.length > 0 ? real.map((name) => join(REAL, name)) : await photos(5, 2000, 1500);
    await page.setInputFiles(PICTURES, files);
    await count(`${files.length} pictures`).waitFor({ timeout: MINUTE });
    expect(await page.getByText(/files? left out/).count()).toBe(0);
  });

  it('gives each odd file a clear outcome', async () => {
    const { page } = visitor;
    await page.setInputFiles(PICTURES, await hostileFiles());
    await count('3 pictures').waitFor({ timeout: MINUTE });
    await page.getByText(/^3 files left out/).click();
    const left = page.getByRole('region', { name: 'What was left out, and what to know' });
    await left.getByText(/dot\.png.*1 by 1 pixels/).waitFor();
    await left.getByText(/letter\.jpg/).waitFor();
    await left.getByText(/empty\.jpg/).waitFor();
    await page.getByText(/^3 files with a note/).click();
    await left.getByText(/print\.jpg.*CMYK/).waitFor();
    await left.getByText(/moving\.webp.*first frame/).waitFor();
    await left.getByText(/panorama\.jpg.*very long or wide/).waitFor();
    await page.locator('.mark').getByText('Very long or wide').waitFor();
  });

  it('says that nothing could be used', async () => {
    const { page } = visitor;
    await page.setInputFiles(PICTURES, { name: 'me.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('no picture') });
    await page
      .getByRole('alert')
      .getByText(/me\.jpg/)
      .waitFor();
    expect(await page.locator('[data-picture]').count()).toBe(0);
  });

  it('takes 300 pictures, showing how far it is', async () => {
    const { page } = visitor;
    const few = await photos(30, 200, 150);
    // Each of another number of bytes, so that none is the same file twice.
    const files = Array.from({ length: 300 }, (_, i) => {
      const { buffer, mimeType } = few[i % few.length]!;
      return { name: `p${i}.jpg`, mimeType, buffer: Buffer.concat([buffer, Buffer.alloc(1 + Math.floor(i / 30))]) };
    });
    await page.setInputFiles(PICTURES, files);
    await page.getByRole('progressbar', { name: 'Looking at the pictures' }).waitFor();
    await page.getByRole('button', { name: 'Stop', exact: true }).waitFor();
    await count('300 pictures').waitFor({ timeout: 3 * MINUTE });
    await page.getByText(/There are 300 pictures; 10 to 40 are usual/).waitFor();
  }, 240_000);
});

describe('curating', () => {
  beforeEach(async () => {
    await visitor.page.setInputFiles(PICTURES, await photos(3));
    await count('3 pictures').waitFor({ timeout: MINUTE });
  });

  it('removes, writes and repeats with the keyboard, and undoes all of it', async () => {
    const { page } = visitor;
    await page.locator('[data-open]').first().focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Delete');
    await count('2 pictures').waitFor();
    await page.waitForFunction(() => document.activeElement?.closest('[data-picture]') !== null);
    await page.keyboard.press('Control+z');
    await count('3 pictures').waitFor();
    await page.getByRole('button', { name: 'Select all' }).click();
    await page.getByLabel('The same words for all of them').fill('a drawing');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() =>
      [...document.querySelectorAll('textarea')].every(({ value }) => value === 'a drawing'),
    );
    await page.getByRole('button', { name: 'Words from the pattern' }).click();
    await page.waitForFunction(() =>
      [...document.querySelectorAll('textarea')].every(({ value }) => value.startsWith('a photo of ')),
    );
    await page.getByRole('button', { name: 'Undo' }).first().click();
    await page.waitForFunction(() =>
      [...document.querySelectorAll('textarea')].every(({ value }) => value === 'a drawing'),
    );
    await page.getByLabel('Seen so often each time through').fill('4');
    await page.keyboard.press('Enter');
    await page.getByText('× 4').nth(2).waitFor();
    await page.reload();
    await page.getByText('× 4').nth(2).waitFor();
    expect(await page.getByLabel('Words of photo-2.jpg').inputValue()).toBe('a drawing');
  });

  it('moves and sizes a crop by mouse and keys, one step of undo each', async () => {
    const { page } = visitor;
    await page.getByRole('button', { name: /Picture 1, photo-1\.jpg/ }).click();
    const box = page.getByRole('application', { name: /What is used/ });
    const label = async (): Promise<string> => (await box.getAttribute('aria-label')) ?? '';
    const whole = await label();
    const area = (await box.boundingBox())!;
    // The lower right corner, a third inwards.
    await page.mouse.move(area.x + area.width, area.y + area.height);
    await page.mouse.down();
    await page.mouse.move(area.x + area.width * 0.6, area.y + area.height * 0.6, { steps: 4 });
    await page.mouse.up();
    await page.waitForFunction(
      (old) => document.querySelector('[role="application"]')?.getAttribute('aria-label') !== old,
      whole,
    );
    const small = await label();
    const sizes = (text: string): number[] => (text.match(/\d+/g) ?? []).map(Number);
    expect(sizes(small)[0]).toBeLessThan(sizes(whole)[0]!);
    await box.focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    // The keys have been let rest, and count.
    await page.locator('dialog .trained').waitFor();
    expect(sizes(await label())[2]).toBe(sizes(small)[2]! + 16);
    await page.keyboard.press('Control+z');
    await expect.poll(label).toBe(small);
    await page.keyboard.press('Control+z');
    await expect.poll(label).toBe(whole);
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => document.activeElement?.closest('[data-picture]') !== null);
  });

  it('paints a mask, inverts and clears it, and keeps it', async () => {
    const { page } = visitor;
    await page.getByRole('button', { name: /Picture 1, photo-1\.jpg/ }).click();
    await page.getByRole('radio', { name: 'Mask' }).check();
    const canvas = page.locator('dialog canvas');
    const alpha = (x: number, y: number): Promise<number> =>
      canvas.evaluate(
        (element: HTMLCanvasElement, [px, py]) =>
          element.getContext('2d')!.getImageData(px * element.width, py * element.height, 1, 1).data[3]!,
        [x, y] as const,
      );
    const area = (await canvas.boundingBox())!;
    expect(await alpha(0.5, 0.5)).toBe(0);
    await page.mouse.move(area.x + area.width * 0.4, area.y + area.height * 0.5);
    await page.mouse.down();
    await page.mouse.move(area.x + area.width * 0.6, area.y + area.height * 0.5, { steps: 5 });
    await page.mouse.up();
    // Learnt where the brush went, and nowhere else.
    expect(await alpha(0.5, 0.5)).toBe(0);
    expect(await alpha(0.05, 0.05)).toBe(255);
    await page.getByRole('button', { name: 'Invert' }).click();
    expect(await alpha(0.5, 0.5)).toBe(255);
    expect(await alpha(0.05, 0.05)).toBe(0);
    await page.locator('dialog').getByRole('button', { name: 'Undo' }).click();
    await expect.poll(() => alpha(0.05, 0.05)).toBe(255);
    await page.keyboard.press('Escape');
    await page.getByText('Masked').waitFor();
    await page.reload();
    await page.getByText('Masked').waitFor();
    await page.getByRole('button', { name: /Picture 1, photo-1\.jpg/ }).click();
    await page.getByRole('radio', { name: 'Mask' }).check();
    await expect.poll(() => alpha(0.05, 0.05)).toBe(255);
    await page.getByRole('button', { name: 'Clear the mask' }).click();
    await expect.poll(() => alpha(0.05, 0.05)).toBe(0);
  });

  it('what is painted, cropped or written when one goes on to the next picture stays with its own', async () => {
    const { page } = visitor;
    const dialog = page.locator('dialog');
    const go = (way: 'Next' | 'Previous') => dialog.getByRole('button', { name: way }).click();
    const box = (): Promise<string | null> =>
      page.getByRole('application', { name: /^What is used/ }).getAttribute('aria-label');
    const at = (text: string) => dialog.getByText(text, { exact: true }).waitFor();
    await page.getByRole('button', { name: /Picture 1, photo-1\.jpg/ }).click();
    await at('1 of 3');
    const [first] = [await box()];
    await go('Next');
    await at('2 of 3');
    const second = await box();
    await go('Previous');
    await at('1 of 3');
    // Keys are let rest before they count: before they have, the next picture is there.
    await page.getByRole('application', { name: /^What is used/ }).focus();
    await page.keyboard.press('Shift+ArrowLeft');
    await page.keyboard.press('PageDown');
    await at('2 of 3');
    await expect.poll(() => dialog.getByRole('button', { name: 'Undo' }).isEnabled()).toBe(true);
    expect(await box()).toBe(second);
    await go('Previous');
    await at('1 of 3');
    expect(await box()).not.toBe(first);
    await page.getByRole('radio', { name: 'Mask' }).check();
    const painting = page.getByRole('application', { name: /^Painting what is learnt/ });
    await painting.focus();
    await page.keyboard.press(' ');
    await page.keyboard.press('PageDown');
    await at('2 of 3');
    const words = page.getByLabel('Its words');
    const before = await words.inputValue();
    await words.fill('typed for the second');
    await go('Next');
    await at('3 of 3');
    expect(await words.inputValue()).not.toBe('typed for the second');
    await go('Previous');
    await expect.poll(() => words.inputValue()).toBe('typed for the second');
    await words.fill(before);
    await words.blur();
    await page.keyboard.press('Escape');
    await page.getByText('Masked').waitFor();
    const masked = page.locator('[data-picture]', { hasText: 'Masked' });
    expect(await masked.locator('.name').allInnerTexts()).toEqual([expect.stringContaining('photo-1.jpg')]);
  });

  it('knows a picture that is nearly the same, and one that is there already', async () => {
    const { page } = visitor;
    const again = await photo('again.jpg', 0);
    const near = await photo('near.jpg', 0, 820, 615);
    await page.setInputFiles(PICTURES, [again, near]);
    await count('4 pictures').waitFor({ timeout: MINUTE });
    await page.getByText(/1 file left out: the same file twice 1/).waitFor();
    expect(await page.locator('.mark').getByText('Nearly the same').count()).toBe(2);
  });

  it('lets a model from a folder write the words, asks no other server, and undoes it', async () => {
    const { page, url, browser } = visitor;
    const elsewhere: string[] = [];
    browser.context.on('request', (request) => {
      if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(url)) elsewhere.push(request.url());
    });
    await page.getByLabel(/Its word/).fill('zilo');
    await page.getByLabel(/Its word/).blur();
    await page.getByText('Write captions for me').click();
    await page.getByText(/from huggingface\.co, about 250 MB/).waitFor();
    await page.setInputFiles('input[aria-label="Caption model folder"]', 'tests/fixtures/look-captioner');
    await page.getByText(/The words of 3 pictures were written/).waitFor({ timeout: 2 * MINUTE });
    const written = await page.getByLabel('Words of photo-1.jpg').inputValue();
    expect(written).toMatch(/^zilo, \S/);
    await page.getByRole('button', { name: 'Undo' }).first().click();
    await expect.poll(() => page.getByLabel('Words of photo-1.jpg').inputValue()).toBe('a photo of zilo');
    expect(elsewhere).toEqual([]);
  });

  it('says that a folder holds no such model', async () => {
    const { page } = visitor;
    await page.getByText('Write captions for me').click();
    await page.setInputFiles('input[aria-label="Caption model folder"]', 'public/examples/voice');
    await page
      .getByRole('alert')
      .getByText(/holds no model that writes captions/)
      .waitFor();
  });
});
