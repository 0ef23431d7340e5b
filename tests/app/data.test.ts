import { afterEach, describe, expect, it } from 'vitest';
import { beginProject, goToStep, oneVisitor, paste, type TaskName } from './visit.ts';
import { photo, photos, type TestFile } from './look-pictures.ts';
import { song } from './sound-files.ts';

const PICTURES = 'input[aria-label="Pictures to learn from"]';
const SONGS = 'input[aria-label="Songs to learn from"]';
const MINUTE = 60_000;
const visitor = oneVisitor();

async function begin(task: TaskName): Promise<void> {
  await visitor.page.goto(visitor.url);
  await beginProject(visitor.page, task);
  await goToStep(visitor.page, 'Data');
}

afterEach(() => {
  expect(visitor.errors.splice(0)).toEqual([]);
});

const heading = (name: string) => visitor.page.getByRole('heading', { name, exact: true });

/** Pictures that take their time, each of another number of bytes: none is the same file twice. */
async function manyPhotos(count: number): Promise<TestFile[]> {
  const few = await photos(6, 1600, 1200);
  return Array.from({ length: count }, (_, i) => {
    const { buffer, mimeType } = few[i % few.length]!;
    return { name: `p${i}.jpg`, mimeType, buffer: Buffer.concat([buffer, Buffer.alloc(1 + i)]) };
  });
}

/** Pictures of all sets that are named on disk: those of an import count when it has ended. */
const keptPictures = (): Promise<number> =>
  visitor.page.evaluate(
    () =>
      new Promise<number>((resolve, reject) => {
        const opening = indexedDB.open('athanor');
        opening.onerror = () => reject(new Error('the database cannot be opened'));
        opening.onsuccess = () => {
          const db = opening.result;
          const all = db.transaction('rows').objectStore('rows').getAll();
          all.onsuccess = () => {
            db.close();
            const rows = (all.result as { rows: object[] }[]).flatMap((chunk) => chunk.rows);
            resolve(rows.filter((row) => 'bucket' in row).length);
          };
        };
      }),
  );

describe('two projects', () => {
  it('an import that ends after another project was opened is found in its own, and only there', async () => {
    const { page } = visitor;
    await begin('A look');
    const first = page.url();
    await page.setInputFiles(PICTURES, await manyPhotos(40));
    await page.getByRole('progressbar', { name: 'Looking at the pictures' }).waitFor();
    // As a person goes: by the link at the top, without a reload.
    await page.getByRole('link', { name: 'Projects' }).first().click();
    await beginProject(page, 'A look');
    await goToStep(page, 'Data');
    const second = page.url();
    await page.setInputFiles(PICTURES, await photo('alone.jpg', 7));
    await heading('1 picture').waitFor({ timeout: MINUTE });
    expect(await keptPictures(), 'the first import must still go on').toBe(1);
    await expect.poll(keptPictures, { timeout: 2 * MINUTE }).toBe(41);
    await heading('1 picture').waitFor();
    expect(await page.locator('[data-picture]').count()).toBe(1);
    await page.reload();
    await heading('1 picture').waitFor();
    await page.getByLabel('Words of alone.jpg').waitFor();
    expect(second).not.toBe(first);
    await page.goto(first);
    await heading('40 pictures').waitFor();
    expect(await page.getByLabel('Words of alone.jpg').count()).toBe(0);
    // Each project knows its own set also where nobody looks at it.
    await page.goto(second);
    await heading('1 picture').waitFor();
  }, 300_000);
});

describe('an import that is stopped', () => {
  it('keeps the pictures that were read, says so, and takes them away with one undo', async () => {
    const { page } = visitor;
    await begin('A look');
    await page.setInputFiles(PICTURES, await manyPhotos(60));
    await page.locator('[data-picture]').nth(2).waitFor({ timeout: MINUTE });
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await page.getByText(/^Stopped\. The \d+ pictures read until then are kept\./).waitFor({ timeout: MINUTE });
    await page.getByText(/Reading was stopped the last time/).waitFor();
    const shown = await page.getByRole('heading', { name: /^\d+ pictures$/ }).innerText();
    expect(Number(shown.split(' ')[0])).toBeGreaterThan(2);
    expect(Number(shown.split(' ')[0])).toBeLessThan(60);
    await page.reload();
    await heading(shown).waitFor();
    // After a reload there is no history; the same again, without one.
    await page.setInputFiles(PICTURES, await manyPhotos(60));
    await page.getByText(/1 so far/).waitFor({ timeout: MINUTE });
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await page.getByText(/^Stopped\./).waitFor({ timeout: MINUTE });
    await page.getByRole('button', { name: 'Undo' }).first().click();
    await heading(shown).waitFor();
  }, 300_000);
});

describe('the keys of undo and redo work after a click on a box to tick', () => {
  it('among rows', async () => {
    const { page } = visitor;
    await begin('A voice');
    await paste(page, '{"text":"One sentence."}\n{"text":"Another one."}');
    await heading('2 rows').waitFor({ timeout: MINUTE });
    await page.getByLabel('It is the voice of a real person.').click();
    await page.keyboard.press('Control+z');
    await heading('0 rows').waitFor();
    await page.keyboard.press('Control+y');
    await heading('2 rows').waitFor();
    await page.keyboard.press('Control+z');
    await heading('0 rows').waitFor();
    await page.keyboard.press('Control+Shift+z');
    await heading('2 rows').waitFor();
    // A field has an undo of its own.
    await page.getByLabel('Search').click();
    await page.keyboard.press('Control+z');
    await page.keyboard.type('another');
    await page.getByText('Another one.').waitFor();
    await heading('2 rows').waitFor();
  });

  it('among pictures, and in the window of one', async () => {
    const { page } = visitor;
    await begin('A look');
    await page.setInputFiles(PICTURES, await photos(2));
    await heading('2 pictures').waitFor({ timeout: MINUTE });
    await page.getByRole('checkbox', { name: /photo-1\.jpg/ }).click();
    await page.keyboard.press('Control+z');
    await heading('0 pictures').waitFor();
    await page.keyboard.press('Control+y');
    await heading('2 pictures').waitFor();
    await page.getByRole('button', { name: /Picture 1, photo-1\.jpg/ }).click();
    await page.getByRole('button', { name: 'Remove the picture' }).click();
    await heading('1 picture').waitFor({ state: 'attached' });
    await page.getByRole('radio', { name: 'Mask' }).click();
    await page.keyboard.press('Control+z');
    await heading('2 pictures').waitFor({ state: 'attached' });
    await page.keyboard.press('Control+y');
    await heading('1 picture').waitFor({ state: 'attached' });
  });

  it('among clips', async () => {
    const { page } = visitor;
    await begin('A sound');
    await page.setInputFiles(SONGS, [song('one.wav', 6)]);
    await page.getByText('Learn from it').first().waitFor({ timeout: MINUTE });
    const box = page.getByRole('checkbox', { name: /Learn from it/ }).first();
    await box.click();
    await expect.poll(() => box.isChecked()).toBe(false);
    await page.keyboard.press('Control+z');
    await expect.poll(() => box.isChecked()).toBe(true);
    await page.keyboard.press('Control+y');
    await expect.poll(() => box.isChecked()).toBe(false);
    await page.keyboard.press('Control+z');
    await page.keyboard.press('Control+Shift+z');
    await expect.poll(() => box.isChecked()).toBe(false);
  });
});
