import { readFileSync } from 'node:fs';
import { unzipSync } from 'fflate';
import { expect, it } from 'vitest';
import { goToStep, openExample, oneVisitor } from './visit.ts';

const STEPS = 8;
const MINUTES = 60_000;
const visitor = oneVisitor();

it(
  'goes the whole way with the example: train, listen, take the adapter',
  async () => {
    const { page } = visitor;
    await openExample(page, { steps: STEPS, saveEvery: 4, sampleEvery: 4 });
    await page.getByText(/^Fits/).waitFor({ timeout: 2 * MINUTES });
    await page.getByRole('button', { name: 'Train', exact: true }).click();
    await page.getByText(`All ${STEPS} steps are done.`).waitFor({ timeout: 4 * MINUTES });

    // The numbers of the run: a loss that fell, memory as planned, samples of both.
    const summary = (await page.locator('figcaption').innerText()).match(/from ([\d.]+) to ([\d.]+) in (\d+) steps/);
    expect(Number(summary?.[3])).toBe(STEPS);
    expect(Number(summary?.[2])).toBeLessThan(Number(summary?.[1]));
    const samples = page.locator('section[aria-labelledby="samples"] article');
    expect(await samples.count()).toBe(3);
    expect(await samples.first().innerText()).toMatch(new RegExp(`Base\\s+\\S[\\s\\S]*Tuned, step ${STEPS}\\s+\\S`));

    await page.getByRole('link', { name: 'Listen to it' }).click();
    await page.getByRole('heading', { name: 'Hear the difference' }).waitFor();
    await page.getByText('How they choose words').click();
    await page.getByLabel(/Longest answer/).fill('12');
    await page.getByLabel(/Longest answer/).blur();
    await page.getByLabel('Say something').fill('Hello! How are you?');
    await page.keyboard.press('Enter');
    const better = page.getByRole('button', { name: 'Tuned is better' });
    await better.waitFor({ timeout: 2 * MINUTES });
    const said = page.locator('.said');
    expect((await said.allInnerTexts()).every((text) => text.trim() !== '')).toBe(true);
    await better.click();
    await page.getByText(/Of 1 vote: tuned better 1/).waitFor();

    await goToStep(page, 'Share');
    await page.getByRole('button', { name: 'Make the files' }).click();
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: /^Download .*\.zip$/ }).click();
    const files = unzipSync(new Uint8Array(readFileSync(await (await download).path())));
    expect(Object.keys(files).sort()).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors']);
    const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as Record<string, unknown>;
    expect(config).toMatchObject({ peft_type: 'LORA', r: 16, lora_alpha: 32 });
    expect(new TextDecoder().decode(files['README.md'])).toContain('rank 16, alpha 32');
    expect(visitor.errors).toEqual([]);
  },
  10 * MINUTES,
);

it(
  'finds everything again after a reload',
  async () => {
    const { page } = visitor;
    await goToStep(page, 'Train');
    await page.reload();
    await page.getByText(`All ${STEPS} steps are done.`).waitFor();
    expect(await page.locator('figcaption').innerText()).toContain(`in ${STEPS} steps`);
    await goToStep(page, 'Data');
    await page.getByRole('heading', { name: '220 rows' }).waitFor();
    await page.goto(visitor.url);
    await page.getByRole('link', { name: 'The lighthouse keeper' }).waitFor();
    expect(await page.locator('.card').innerText()).toMatch(/Taught, loss [\d.]+/);
  },
  MINUTES,
);
