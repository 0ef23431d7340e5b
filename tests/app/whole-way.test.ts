import { readFileSync } from 'node:fs';
import { unzipSync } from 'fflate';
import { expect, it } from 'vitest';
import { watchBlind } from './blind-watch.ts';
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

it(
  'judges blind: nothing tells which answer is whose before the vote, and both come at once',
  async () => {
    const { page } = visitor;
    await page.getByRole('link', { name: 'The lighthouse keeper' }).click();
    await goToStep(page, 'Try');
    await page.getByLabel(/Judge blind/).check();
    await page.getByText('How they choose words').click();
    await page.getByLabel(/Longest answer/).fill('12');
    await page.getByLabel(/Longest answer/).blur();
    const notes = await watchBlind(page);
    await page.getByLabel('Say something').fill('Who are you?');
    await page.keyboard.press('Enter');
    const first = page.getByRole('button', { name: 'Answer 1 is better' });
    await first.waitFor({ timeout: 2 * MINUTES });
    const seen = await notes();
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.filter((state) => /\b(base|tuned)\b|caret/i.test(state))).toEqual([]);
    // At no time does one stand there without the other.
    const waiting = seen.map((state) => state.split('…').length - 1);
    expect(waiting.every((count) => count === 0 || count === 2)).toBe(true);
    expect(waiting).toContain(2);
    expect(await page.locator('.answer h3').allInnerTexts()).toEqual(['Answer 1', 'Answer 2']);
    await first.click();
    await page.getByText(/Of 2 votes:/).waitFor();
    const names = await page.locator('.answer h3').allInnerTexts();
    expect([...names].sort()).toEqual(['Base', `Tuned, step ${STEPS}`]);
    // The buttons stand where the answers stand, and the vote is for the one that was clicked.
    const buttons = page.getByRole('group', { name: /^Your judgement/ }).getByRole('button');
    const tunedFirst = names[0] !== 'Base';
    expect(await buttons.allInnerTexts()).toEqual(
      tunedFirst
        ? ['Tuned is better', 'The same', 'Base is better']
        : ['Base is better', 'The same', 'Tuned is better'],
    );
    await page
      .getByText(tunedFirst ? /tuned better 2, same 0, base better 0/ : /tuned better 1, same 0, base better 1/)
      .waitFor();
    expect(visitor.errors).toEqual([]);
  },
  5 * MINUTES,
);

it(
  'lets the base speak alone after it was changed for one on which nothing was taught',
  async () => {
    const { page } = visitor;
    await goToStep(page, 'Base');
    await page.setInputFiles('input[aria-label="Model folder"]', 'public/embedded/voice');
    await page.getByRole('heading', { name: 'voice', exact: true }).waitFor({ timeout: MINUTES });
    await goToStep(page, 'Try');
    await page.getByText('Nothing was taught on this base, so the base speaks alone.').waitFor({ timeout: MINUTES });
    await page.getByRole('button', { name: 'Begin anew' }).click();
    await page.getByLabel('Say something').fill('Who are you?');
    await page.getByRole('button', { name: 'Say it' }).click();
    await page.getByRole('button', { name: 'Say it' }).waitFor({ timeout: 2 * MINUTES });
    expect(await page.locator('.answer h3').allInnerTexts()).toEqual(['Base']);
    expect(await page.locator('.said').innerText()).toMatch(/\S/);
    expect(await page.getByRole('alert').count()).toBe(0);
    expect(visitor.errors).toEqual([]);
  },
  5 * MINUTES,
);
