import { readFileSync } from 'node:fs';
import { unzipSync } from 'fflate';
import { expect, it } from 'vitest';
import { watchBlind } from './blind-watch.ts';
import { fillField, goToStep, oneVisitor } from './visit.ts';

const STEPS = 4;
const MINUTES = 60_000;
const visitor = oneVisitor();

it(
  'goes the whole way with the example of a look: train, draw, take the files',
  async () => {
    const { page } = visitor;
    await page.getByRole('region', { name: 'A look' }).getByRole('button', { name: 'Try the example' }).click();
    await page.getByText(/^Fits/).waitFor({ timeout: 2 * MINUTES });
    // Short enough for a processor that stands in for a graphics card.
    await fillField(page, /Batch size/, '1');
    await page.getByText('More settings').click();
    await fillField(page, /Fixed number of steps/, String(STEPS));
    await fillField(page, /Save every/, '2');
    await fillField(page, /Sample every/, '4');
    await fillField(page, /Steps of a sample/, '2');
    await page.getByLabel('Prompts to draw along the way').fill('zilo in the desert');
    await page.getByRole('button', { name: 'Train', exact: true }).click();
    await page.getByText(`All ${STEPS} steps are done.`).waitFor({ timeout: 8 * MINUTES });

    expect(await page.locator('figcaption').first().innerText()).toContain(`in ${STEPS} steps`);
    await page.getByText(/pictures\/s/).waitFor();
    // Drawn before the first step and after the last, by both, and not the same any more.
    const samples = page.getByRole('region', { name: 'What it draws' });
    await samples.getByRole('slider', { name: /Step/ }).waitFor();
    await samples.getByAltText('“zilo in the desert” as the base draws it').waitFor();
    await samples.getByAltText(`“zilo in the desert” as it is drawn after ${STEPS} steps of training`).waitFor();
    await samples.getByRole('button', { name: 'Step 0' }).click();
    await samples.getByText('Tuned, step 0').waitFor();

    await page.getByRole('link', { name: 'Look at it' }).click();
    await page.getByRole('heading', { name: 'See the difference' }).waitFor();
    expect(await page.getByLabel('What to draw').inputValue()).toBe('zilo in the desert');
    await page.getByText('How it is drawn').click();
    await fillField(page, /num_inference_steps/, '2');
    await fillField(page, /^Seed/, '7');
    await page.getByRole('button', { name: 'Draw it' }).click();
    const better = page.getByRole('button', { name: 'Tuned is better' });
    await better.waitFor({ timeout: 3 * MINUTES });
    const drawn = page.locator('article img');
    expect(await drawn.count()).toBe(2);
    expect(await drawn.first().evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(64);
    const keep = page.waitForEvent('download');
    await page.getByRole('button', { name: /^Keep it.*Tuned/ }).click();
    expect((await keep).suggestedFilename()).toBe('zilo-in-the-desert-tuned-7.png');
    await better.click();
    await page.getByText(/Of 1 vote: tuned better 1/).waitFor();

    await goToStep(page, 'Share');
    await page.getByRole('button', { name: 'Make the files' }).click();
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: /^Download zilo\.zip$/ }).click();
    const files = unzipSync(new Uint8Array(readFileSync(await (await download).path())));
    expect(Object.keys(files).sort()).toEqual([
      'README.md',
      'pytorch_lora_weights.safetensors',
      'zilo.preview.png',
      'zilo.safetensors',
    ]);
    const text = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes);
    expect(text(files['README.md']!)).toContain('Put **zilo** into the prompt');
    expect(text(files['zilo.safetensors']!.subarray(0, 20_000))).toContain('lora_unet_');
    expect(text(files['pytorch_lora_weights.safetensors']!.subarray(0, 20_000))).toContain('unet.');
    const bundle = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download the bundle' }).click();
    const bundled = unzipSync(new Uint8Array(readFileSync(await (await bundle).path())));
    expect(Object.keys(bundled)).toEqual(expect.arrayContaining(['dataset.toml', 'train.sh', 'start.safetensors']));
    expect(Object.keys(bundled).filter((name) => name.endsWith('.png')).length).toBe(16);

    // The file, given back as one from elsewhere, draws the same picture.
    await goToStep(page, 'Try');
    const pixels = (alt: RegExp): Promise<number[]> =>
      page
        .getByAltText(alt)
        .first()
        .evaluate((image: HTMLImageElement) => {
          const canvas = document.createElement('canvas');
          canvas.width = image.naturalWidth;
          canvas.height = image.naturalHeight;
          const context = canvas.getContext('2d')!;
          context.drawImage(image, 0, 0);
          return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
        });
    const [base, tuned] = [await pixels(/, Base$/), await pixels(/, Tuned/)];
    await page.setInputFiles('input[aria-label="LoRA file"]', {
      name: 'given.safetensors',
      mimeType: 'application/octet-stream',
      buffer: Buffer.from(files['zilo.safetensors']!),
    });
    await page.getByRole('button', { name: 'Draw it' }).click();
    await page.getByAltText(/, With given\.safetensors$/).waitFor({ timeout: 2 * MINUTES });
    const given = await pixels(/, With given\.safetensors$/);
    const apart = (a: number[], b: number[]): number => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
    expect(apart(given, tuned)).toBeLessThanOrEqual(1);
    expect(apart(given, base)).toBeGreaterThan(1);
    expect(visitor.errors).toEqual([]);
  },
  12 * MINUTES,
);

it(
  'finds run, pictures and samples again after a reload',
  async () => {
    const { page } = visitor;
    await goToStep(page, 'Train');
    await page.reload();
    await page.getByText(`All ${STEPS} steps are done.`).waitFor();
    await page.getByAltText(/as the base draws it/).waitFor();
    await page.goto(visitor.url);
    await page.getByRole('link', { name: 'Zilo' }).waitFor();
    await page.locator('.card img').waitFor();
  },
  MINUTES,
);

it(
  'judges blind: nothing tells which picture is whose before the vote, though the base drew the same before',
  async () => {
    const { page } = visitor;
    await page.getByRole('link', { name: 'Zilo' }).click();
    await goToStep(page, 'Try');
    await page.getByText('How it is drawn').click();
    await fillField(page, /num_inference_steps/, '2');
    await fillField(page, /^Seed/, '7');
    await page.getByRole('button', { name: 'Draw it' }).click();
    await page.getByRole('button', { name: 'Tuned is better' }).waitFor({ timeout: 3 * MINUTES });
    await page.getByRole('button', { name: 'Clear away' }).click();
    await page.getByRole('button', { name: 'Close this message' }).click();
    await page.getByLabel(/Judge blind/).check();
    const notes = await watchBlind(page);
    await page.getByRole('button', { name: 'Draw it' }).click();
    const second = page.getByRole('button', { name: 'Drawing 2 is better' });
    await second.waitFor({ timeout: 3 * MINUTES });
    await expect.poll(() => page.locator('article img').count()).toBe(2);
    const seen = await notes();
    expect(seen.filter((state) => /\b(base|tuned)\b/i.test(state))).toEqual([]);
    // At no time does one stand there without the other.
    const waiting = seen.map((state) => state.split('…').length - 1);
    expect(waiting.every((count) => count === 0 || count === 2)).toBe(true);
    expect(waiting).toContain(2);
    const keep = page.waitForEvent('download');
    await page.getByRole('button', { name: /^Keep it.*Drawing 1/ }).click();
    expect((await keep).suggestedFilename()).toBe('zilo-in-the-desert-1-7.png');
    await second.click();
    await page.getByText(/^Of 2 votes:/).waitFor();
    const names = await page.locator('article figcaption > span:first-child').allInnerTexts();
    expect([...names].sort()).toEqual(['Base', `Tuned, step ${STEPS}`]);
    await page.goto(visitor.url);
    expect(visitor.errors).toEqual([]);
  },
  6 * MINUTES,
);

it(
  'takes an image model from a folder with its sub-folders, refuses what is no LoRA, and stops when told to',
  async () => {
    const { page } = visitor;
    await page.getByRole('link', { name: 'Zilo' }).click();
    await goToStep(page, 'Base');
    const folder = 'input[aria-label="Model folder"]';
    await page.setInputFiles(folder, 'public/embedded/voice');
    await page
      .getByRole('alert')
      .getByText(/“voice” has a config\.json and no model_index\.json/)
      .waitFor();
    await page.setInputFiles(folder, 'public/embedded/look');
    await page.getByRole('heading', { name: 'look', exact: true }).waitFor({ timeout: MINUTES });
    await page.getByText('Made for').waitFor({ timeout: 2 * MINUTES });

    await goToStep(page, 'Try');
    // What was taught on the other base is not offered for this one.
    await page.getByText('Nothing was taught on this base, so the base draws alone.').waitFor();
    await page.setInputFiles('input[aria-label="LoRA file"]', {
      name: 'no-lora.safetensors',
      mimeType: 'application/octet-stream',
      buffer: Buffer.from('this is no file of tensors'),
    });
    await page.getByRole('button', { name: 'Draw it' }).click();
    await page
      .getByRole('alert')
      .getByText(/no-lora\.safetensors/)
      .waitFor({ timeout: MINUTES });
    await page.getByText('How it is drawn').click();
    await fillField(page, /num_inference_steps/, '200');
    await page.getByLabel('Pictures', { exact: true }).fill('8');
    await page.getByRole('button', { name: 'Draw it' }).click();
    await page.getByRole('button', { name: 'Stop drawing' }).click();
    await page.getByRole('button', { name: 'Draw it' }).waitFor({ timeout: MINUTES });
    expect(visitor.errors).toEqual([]);
  },
  6 * MINUTES,
);

it(
  'goes on from the last checkpoint after a reload in the middle of a run',
  async () => {
    const { page } = visitor;
    const steps = 14;
    await goToStep(page, 'Train');
    await page.getByText('More settings').click();
    await fillField(page, /Fixed number of steps/, String(steps));
    await fillField(page, /Sample every/, '0');
    await page.getByRole('button', { name: 'Train anew' }).click();
    await page.getByText(new RegExp(`^Step ([4-9]|1\\d) of ${steps}$`)).waitFor({ timeout: 4 * MINUTES });
    await page.reload();
    const goOn = page.getByRole('button', { name: /^Go on from step \d+$/ });
    await goOn.waitFor();
    const from = Number((await goOn.innerText()).match(/\d+/)?.[0]);
    expect(from % 2).toBe(0);
    expect(from).toBeGreaterThan(0);
    await goOn.click();
    await page.getByText(`All ${steps} steps are done.`).waitFor({ timeout: 4 * MINUTES });
    // Every step once, the early ones too.
    const table = page.locator('figure details table');
    await page.getByText('The curve as a table').click();
    const shown = (await table.locator('tbody tr').allInnerTexts()).map((row) => Number(row.match(/\d+/)?.[0]));
    expect(shown[0]).toBe(1);
    expect(shown.at(-1)).toBe(steps);
    expect(new Set(shown).size).toBe(shown.length);
    expect(visitor.errors).toEqual([]);
  },
  10 * MINUTES,
);
