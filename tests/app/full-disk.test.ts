import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fixtureRecords, readDatabaseFixture, restoreInPage } from '../support/database-fixture.ts';
import type { PictureRowsV3 } from '../support/database-v3.ts';
import { beginProject, goToStep, paste, visit, type Visit } from './visit.ts';

const FILES = 'input[type="file"]:not([webkitdirectory])';
const FOLDER = 'input[webkitdirectory]';
/** Less than the small model and the rows below, more than a project. */
const QUOTA = 1_500_000;

async function setQuota(visitor: Visit, quotaSize?: number): Promise<void> {
  const session = await visitor.browser.context.newCDPSession(visitor.page);
  const { origin } = new URL(visitor.url);
  await session.send('Storage.overrideQuotaForOrigin', quotaSize === undefined ? { origin } : { origin, quotaSize });
}

/** The browser remembers for a while how much room there was: the quota is set before the page is first opened. */
async function visitWithFullDisk(args: string[] = []): Promise<Visit> {
  const visitor = await visit({ args, landOn: 'about:blank' });
  await setQuota(visitor, QUOTA);
  await visitor.page.goto(visitor.url);
  await beginProject(visitor.page);
  return visitor;
}

it('keeps what was there when a data set does not fit the disk', async () => {
  const visitor = await visitWithFullDisk();
  try {
    const { page } = visitor;
    await goToStep(page, 'Data');
    await paste(page, '{"text":"Kept before."}');
    await page.getByRole('heading', { name: '1 row' }).waitFor();
    // Random letters: the database would squeeze a repeated text into the quota.
    const lines = Array.from({ length: 4000 }, () => JSON.stringify({ text: randomBytes(500).toString('base64') }));
    const buffer = Buffer.from(lines.join('\n'));
    await page.setInputFiles(FILES, { name: 'large.jsonl', mimeType: 'application/jsonl', buffer });
    await page
      .getByRole('alert')
      .getByText(/storage is full, so the change could not be kept.*still there.*Settings/)
      .waitFor({ timeout: 60_000 });
    await page.reload();
    await page.getByRole('heading', { name: '1 row' }).waitFor();
    await page.getByText('Kept before.').waitFor();
    expect(visitor.errors).toEqual([]);
  } finally {
    await visitor.leave();
  }
});

it('stops a model where the disk is full, and goes on from there once there is room', async () => {
  const visitor = await visitWithFullDisk();
  try {
    const { page } = visitor;
    await goToStep(page, 'Base');
    await page.setInputFiles(FOLDER, 'public/embedded/voice');
    await page
      .getByRole('alert')
      .getByText(/storage is full, so the rest of “voice” could not be kept.*still there/)
      .waitFor({ timeout: 60_000 });
    await page.getByText(/Has not fully arrived/).waitFor();
    await setQuota(visitor);
    await page.setInputFiles(FOLDER, 'public/embedded/voice');
    await page.getByText('Holds in mind').waitFor({ timeout: 60_000 });

    // A folder of the same name, files and sizes with one weight changed is another base; picked again, each is what it was.
    const folder = join(mkdtempSync(join(tmpdir(), 'athanor-base-')), 'voice');
    cpSync('public/embedded/voice', folder, { recursive: true });
    const weights = join(folder, 'model.safetensors');
    const bytes = readFileSync(weights);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(weights, bytes);
    await page.setInputFiles(FOLDER, folder);
    await page.getByText(/“voice” holds something else than the base of that name.* added as “voice \(2\)”/).waitFor();
    const list = page.getByRole('list', { name: 'Bases' }).getByRole('listitem');
    await list.filter({ hasText: 'voice (2)' }).getByText('Chosen').waitFor({ timeout: 60_000 });
    expect(await list.count()).toBe(3);
    await page.setInputFiles(FOLDER, 'public/embedded/voice');
    await list.filter({ hasNotText: 'voice (2)' }).getByText('Chosen').waitFor({ timeout: 60_000 });
    expect(await list.count()).toBe(3);
    rmSync(join(folder, '..'), { recursive: true });
    expect(visitor.errors).toEqual([]);
  } finally {
    await visitor.leave();
  }
});

it('says beforehand that a model does not fit, where the browser tells how much room there is', async () => {
  const visitor = await visitWithFullDisk(['--disable-features=StaticStorageQuota']);
  try {
    const { page } = visitor;
    await goToStep(page, 'Base');
    await page.setInputFiles(FOLDER, 'public/embedded/voice');
    await page
      .getByRole('alert')
      .getByText(/“voice” takes [\d.]+ MB, and the browser gives this page 1\.5 MB more\. Nothing was changed/)
      .waitFor();
    expect(await page.getByText(/Has not fully arrived/).count()).toBe(0);
  } finally {
    await visitor.leave();
  }
});

it('says that there is no room to take an older database over, and takes it over once there is', async () => {
  const visitor = await visit({ landOn: 'about:blank' });
  try {
    const { page } = visitor;
    await setQuota(visitor, 25_000_000);
    const fixture = readDatabaseFixture('database-v3');
    await restoreInPage(page, visitor.url, fixture);
    const [set] = fixtureRecords<PictureRowsV3>(fixture, 'pictureRows');
    // Pictures of 15 MB: there is room for them, and none for a second copy.
    await page.evaluate(async (datasetId) => {
      const opening = indexedDB.open('athanor');
      await new Promise((resolve) => (opening.onsuccess = resolve));
      for (let i = 0; i < 15; i++) {
        const bytes = new Uint8Array(1_000_000);
        for (let at = 0; at < bytes.length; at += 50_000) crypto.getRandomValues(bytes.subarray(at, at + 50_000));
        const write = opening.result.transaction('pictureFiles', 'readwrite');
        const thumbnail = new Blob(['small']);
        write
          .objectStore('pictureFiles')
          .put({ datasetId, id: `${i}`, picture: new Blob([bytes]), thumbnail, mask: null });
        await new Promise((resolve) => (write.oncomplete = resolve));
      }
      opening.result.close();
    }, set!.datasetId);
    await page.goto(visitor.url);
    const projects = page.getByRole('region', { name: 'Your projects' });
    await projects
      .getByText(/needs room for a copy of them.*Nothing was changed or lost\. Free some disk space/)
      .waitFor();
    await setQuota(visitor);
    await page.reload();
    await page.getByRole('link', { name: 'Zilo', exact: true }).waitFor({ timeout: 60_000 });
    expect(visitor.errors).toEqual([]);
  } finally {
    await visitor.leave();
  }
});
