import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { concatFloats } from '../../src/common/floats.ts';
import { atRest, beginProject, fillField, goToStep, overflow, violations, visit, type Visit } from './visit.ts';
import { silence, song, tune, wav } from './sound-files.ts';

const SONGS = 'input[aria-label="Songs to learn from"]';
const MINUTE = 60_000;
const RATE = 16_000;
/** A folder for pictures of the pages, to be looked at. */
const SHOTS = process.env['ATHANOR_SHOTS'];
let visitor: Visit;

beforeAll(async () => {
  visitor = await visit({ reducedMotion: 'reduce' });
});

afterAll(async () => {
  await visitor.leave();
});

afterEach(() => {
  expect(visitor.errors.splice(0)).toEqual([]);
});

/** Looks at the page wide and light, narrow and dark. */
async function check(name: string): Promise<void> {
  const { page } = visitor;
  for (const [width, colorScheme] of [
    [1280, 'light'],
    [320, 'dark'],
  ] as const) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await atRest(page);
    if (SHOTS) await page.screenshot({ path: `${SHOTS}/sound-${name}-${width}.png`, fullPage: true });
    expect(await violations(page), `${name} at ${width} px`).toEqual([]);
    expect(await overflow(page), `${name} at ${width} px`).toBeLessThanOrEqual(0);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

const heading = (name: RegExp) => visitor.page.getByRole('heading', { name });
const clips = () => visitor.page.locator('[data-clip]');

beforeEach(async () => {
  await visitor.page.goto(visitor.url);
});

it('says what to expect of a sound, and once whose music it is', async () => {
  const { page } = visitor;
  await beginProject(page, 'A sound');
  await page.getByText('MusicGen cannot sing').waitFor();
  await page.getByLabel('It is the music of somebody other than me.').check();
  await page.getByText(/Music belongs to those who made it/).waitFor();
  await check('ask');
});

it('lays the example out, with its small base and every one of its clips', async () => {
  const { page } = visitor;
  await page.getByRole('region', { name: 'A sound' }).getByRole('button', { name: 'Try the example' }).click();
  await page.getByText(/^Fits/).waitFor({ timeout: 3 * MINUTE });
  await goToStep(page, 'Data');
  await heading(/^10 songs/).waitFor({ timeout: MINUTE });
  await page.getByLabel('Words of clip 1 of oluna-01.flac').waitFor();
  expect(await page.getByText('Left out', { exact: true }).count()).toBe(0);
});

describe('songs that arrive', () => {
  beforeEach(async () => {
    await beginProject(visitor.page, 'A sound');
    await goToStep(visitor.page, 'Data');
  });

  it('gives each odd file a clear outcome', async () => {
    const { page } = visitor;
    await check('data-empty');
    const eight = Array.from({ length: 8 }, (_, i) => tune(2, 192_000, { root: 110 * (i + 1), gain: 0.1 }));
    await page.setInputFiles(SONGS, [
      song('good.wav', 8),
      { name: 'quiet.wav', mimeType: 'audio/wav', buffer: wav([silence(3, RATE)], RATE) },
      { name: 'blink.wav', mimeType: 'audio/wav', buffer: wav([tune(0.1, RATE)], RATE) },
      { name: 'letter.wav', mimeType: 'audio/wav', buffer: Buffer.from('Dear friend, this is no sound at all.\n') },
      { name: 'cinema.wav', mimeType: 'audio/wav', buffer: wav(eight, 192_000) },
      { name: 'half.wav', mimeType: 'audio/wav', buffer: song('', 12, { root: 300 }).buffer.subarray(0, 7 * 2 * RATE) },
    ]);
    await heading(/^3 songs/).waitFor({ timeout: 2 * MINUTE });
    await page.getByText(/^3 files left out/).click();
    const left = page.getByRole('region', { name: 'What was left out, and what to know' });
    await left.getByText(/quiet\.wav.*silent from beginning to end/).waitFor();
    await left.getByText(/blink\.wav.*lasts 0\.1 seconds/).waitFor();
    await left.getByText(/letter\.wav.*text, not sound/).waitFor();
    const card = (name: string) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name }) });
    await card('cinema.wav').getByText('192 kHz').waitFor();
    await card('cinema.wav')
      .getByText(/more than two channels, which were mixed down/)
      .first()
      .waitFor();
    // Of what was cut off, the rest is taken.
    await card('half.wav')
      .getByText(/^0:07 ·/)
      .waitFor();
    await card('half.wav')
      .getByText(/cut off or damaged; what could be read of it was taken/)
      .first()
      .waitFor();
    await check('data-odd');
  });

  it('says that nothing could be used', async () => {
    const { page } = visitor;
    await page.setInputFiles(SONGS, { name: 'me.mp3', mimeType: 'audio/mpeg', buffer: Buffer.from('no sound') });
    await page
      .getByRole('alert')
      .getByText(/^me\.mp3: This holds text, not sound/)
      .waitFor();
    expect(await clips().count()).toBe(0);
  });

  it('skips silence, and finds all of it again after a reload', async () => {
    const { page } = visitor;
    const two = concatFloats([
      tune(12, RATE, { root: 180 }),
      silence(8, RATE),
      tune(11, RATE, { root: 290, tempo: 90 }),
    ]);
    await page.setInputFiles(SONGS, [
      { name: 'two dances.wav', mimeType: 'audio/wav', buffer: wav([two], RATE) },
      { name: 'two dances.txt', mimeType: 'text/plain', buffer: Buffer.from('two dances on a harp') },
    ]);
    await heading(/^1 song/).waitFor({ timeout: MINUTE });
    await page.getByText(/seconds of music; 5 to 60 minutes are usual/).waitFor();
    const times = await clips().locator('.line').allInnerTexts();
    expect(times.length).toBeGreaterThan(1);
    // No clip begins within the silence.
    for (const line of times) expect(line).not.toMatch(/0:1[3-8]\.\d –/);
    expect(await page.getByLabel('Words of clip 1 of two dances.wav').inputValue()).toBe('two dances on a harp');
    await page.reload();
    await heading(/^1 song/).waitFor({ timeout: MINUTE });
    expect(await clips().locator('.line').allInnerTexts()).toEqual(times);
    await page.getByRole('link', { name: 'Settings' }).click();
    await page
      .getByText(/Data of A new sound/)
      .first()
      .waitFor();
  });
});

describe('an import that ends early', () => {
  const two = [song('one.wav', 8), song('other.wav', 9, { root: 300, tempo: 150 })];
  let folder = '';
  /** An hour that is still being heard when it is stopped: holes in a file take no room. */
  let long = '';

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'athanor-songs-'));
    for (const { name, buffer } of two) writeFileSync(join(folder, name), buffer);
    long = join(folder, 'long.wav');
    const head = wav([silence(0.1, 44_100), silence(0.1, 44_100)], 44_100).subarray(0, 44);
    const size = 3600 * 44_100 * 4;
    head.writeUInt32LE(36 + size, 4);
    head.writeUInt32LE(size, 40);
    writeFileSync(long, head);
    truncateSync(long, 44 + size);
  });

  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  it('keeps the songs that were heard: by closing the page, and by Stop, which can be undone', async () => {
    const { page } = visitor;
    const [one, other] = two.map(({ name }) => join(folder, name)) as [string, string];
    const arrived = () => page.getByText(/^long\.wav; 1 clip so far/).waitFor({ timeout: MINUTE });
    await beginProject(page, 'A sound');
    await goToStep(page, 'Data');
    await page.setInputFiles(SONGS, [one, long]);
    await arrived();
    await page.reload();
    await heading(/^1 song,/).waitFor({ timeout: MINUTE });
    await page.setInputFiles(SONGS, [other, long]);
    await arrived();
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    const said = page.getByText('Stopped. The one song heard until then is kept.');
    await said.first().waitFor({ timeout: MINUTE });
    await heading(/^2 songs, 17 seconds/).waitFor();
    await page.getByRole('status').getByRole('button', { name: 'Undo' }).click();
    await heading(/^1 song,/).waitFor();
    await page.keyboard.press('Control+Shift+z');
    await heading(/^2 songs/).waitFor();
    await page.reload();
    await heading(/^2 songs, 17 seconds/).waitFor({ timeout: MINUTE });
    expect(await page.getByText(/files? left out/).count()).toBe(0);
    await page.setInputFiles(SONGS, long);
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await page
      .getByText(/No song was heard to its end until then, so nothing was added/)
      .first()
      .waitFor();
  });

  it('keeps the songs before the one that no longer fits the disk', async () => {
    const full = await visit({ landOn: 'about:blank' });
    try {
      const { page } = full;
      const session = await full.browser.context.newCDPSession(page);
      const { origin } = new URL(full.url);
      await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1_500_000 });
      await page.goto(full.url);
      await beginProject(page, 'A sound');
      await goToStep(page, 'Data');
      // Noise: what repeats would be squeezed into the quota.
      const noise = new Int16Array(randomBytes(4_000_000).buffer);
      const large = {
        name: 'large.wav',
        mimeType: 'audio/wav',
        buffer: wav([Float32Array.from(noise, (n) => n / 2 ** 17)], 48_000),
      };
      await page.setInputFiles(SONGS, [two[0]!, large, two[1]!]);
      await page
        .getByRole('alert')
        .getByText(/storage is full, so the song could not be kept.*The one song heard until then is kept\./)
        .waitFor({ timeout: MINUTE });
      await page.getByRole('heading', { name: /^1 song,/ }).waitFor();
      await page.reload();
      await page.getByRole('heading', { name: /^1 song,/ }).waitFor({ timeout: MINUTE });
      expect(full.errors).toEqual([]);
    } finally {
      await full.leave();
    }
  });
});

describe('curating clips', () => {
  beforeEach(async () => {
    await beginProject(visitor.page, 'A sound');
    await goToStep(visitor.page, 'Data');
    await visitor.page.setInputFiles(SONGS, [
      song('one.wav', 9, { tempo: 96, root: 196 }),
      song('other.wav', 10, { tempo: 150, root: 247 }),
    ]);
    await heading(/^2 songs/).waitFor({ timeout: MINUTE });
  });

  it('plays a clip as it is learnt, and one at a time', async () => {
    const { page } = visitor;
    await page.getByRole('button', { name: 'Play clip 1 of one.wav' }).click();
    await page.getByRole('button', { name: 'Stop clip 1 of one.wav' }).waitFor();
    const cursor = page.locator('[data-cursor]');
    await cursor.waitFor({ timeout: MINUTE });
    const place = (): Promise<number> => cursor.evaluate((line: HTMLElement) => parseFloat(line.style.left));
    await expect.poll(place, { timeout: 20_000 }).toBeGreaterThan(3);
    await page.getByRole('button', { name: 'Play clip 1 of other.wav' }).click();
    await page.getByRole('button', { name: 'Stop clip 1 of other.wav' }).waitFor();
    await page.getByRole('button', { name: 'Play clip 1 of one.wav' }).waitFor();
    await page.getByRole('button', { name: 'Stop clip 1 of other.wav' }).click();
    await expect.poll(() => cursor.count()).toBe(0);
  });

  it('leaves out, takes back, writes and removes, all with the keyboard and all undone', async () => {
    const { page } = visitor;
    await page.locator('[data-play]').first().focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Delete');
    await heading(/^2 songs, 9 seconds to learn from/).waitFor();
    await page.getByText('Left out', { exact: true }).waitFor();
    await page.keyboard.press('Control+z');
    await heading(/^2 songs, 19 seconds/).waitFor();
    await page.getByLabel(/Its word/).fill('zilo');
    await page.keyboard.press('Tab');
    await expect.poll(() => page.getByLabel('Words of clip 1 of other.wav').inputValue()).toMatch(/^zilo, \d+ bpm/);
    await page.getByLabel('Words of clip 1 of one.wav').fill('by hand');
    await page.keyboard.press('Tab');
    await fillField(page, /The words for every clip/, '{trigger} at {tempo}');
    await expect.poll(() => page.getByLabel('Words of clip 1 of other.wav').inputValue()).toMatch(/^zilo at \d+$/);
    expect(await page.getByLabel('Words of clip 1 of one.wav').inputValue()).toBe('by hand');
    await page.getByRole('button', { name: 'Remove the song one.wav' }).click();
    await heading(/^1 song,/).waitFor();
    await page.getByRole('button', { name: 'Undo' }).first().click();
    await heading(/^2 songs/).waitFor();
    await page.reload();
    await expect
      .poll(() => page.getByLabel('Words of clip 1 of one.wav').inputValue(), { timeout: MINUTE })
      .toBe('by hand');
  });

  it('lets a model from a folder hear the clips, asks no other server, and undoes it', async () => {
    const { page, url, browser } = visitor;
    const elsewhere: string[] = [];
    browser.context.on('request', (request) => {
      if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(url)) elsewhere.push(request.url());
    });
    await fillField(page, /The words for every clip/, 'heard: {tags}');
    const words = page.getByLabel('Words of clip 1 of one.wav');
    await expect.poll(() => words.inputValue()).toBe('');
    await page.getByText('Hear the clips for me').click();
    await page.setInputFiles('input[aria-label="Tagging model folder"]', 'tests/fixtures/sound-tagger');
    await page.getByText(/clips? heard\. Read their words once\./).waitFor({ timeout: 2 * MINUTE });
    await expect.poll(() => words.inputValue()).toMatch(/^heard: [a-z]/);
    await page.getByRole('button', { name: 'Undo' }).first().click();
    await expect.poll(() => words.inputValue()).toBe('');
    expect(elsewhere).toEqual([]);
  });

  it('says that a folder holds no model that hears', async () => {
    const { page } = visitor;
    await page.getByText('Hear the clips for me').click();
    await page.getByText(/from huggingface\.co, about 200 MB/).waitFor();
    await check('tagger');
    await page.setInputFiles('input[aria-label="Tagging model folder"]', 'public/examples/voice');
    await page
      .getByRole('alert')
      .getByText(/holds no model that hears/)
      .waitFor();
  });

  it('moves edges by hand and by dragging, and makes room for another clip', async () => {
    const { page } = visitor;
    await page.getByRole('button', { name: 'Edges… of clip 1 of one.wav' }).click();
    await fillField(page, /Ends at second/, '0.2');
    await page.getByText('A clip lasts half a second at least.').waitFor();
    await fillField(page, /Ends at second/, '4.5');
    await page.getByText('0:00.0 – 0:04.5').waitFor();
    await check('edges');
    // Its mark follows what it has become.
    await clips().first().locator('.mark').getByText('Short').waitFor();
    const region = clips().first().locator('[part~="region-handle-right"]');
    const handle = (await region.boundingBox())!;
    await page.mouse.move(handle.x + handle.width / 2, handle.y + 20);
    await page.mouse.down();
    await page.mouse.move(handle.x + 120, handle.y + 20, { steps: 5 });
    await page.mouse.up();
    // Heard again: on a busy machine that takes its time.
    await expect.poll(() => clips().first().locator('.line').innerText(), { timeout: 20_000 }).not.toContain('0:04.5');
    await page.keyboard.press('Control+z');
    await page.getByText('0:00.0 – 0:04.5').waitFor();
    await page.getByRole('button', { name: 'Add a clip of one.wav' }).click();
    await page.getByText('0:04.5 – 0:09.0').waitFor();
    await page.getByRole('button', { name: 'Add a clip of one.wav' }).click();
    await page.getByText(/covered by clips from beginning to end/).waitFor();
    expect(await clips().count()).toBe(3);
  });
});

/** A tiny MusicGen of random weights that composes at a rate which browsers play. */
function tinyBase(): string {
  const folder = join(mkdtempSync(join(tmpdir(), 'athanor-base-')), 'tiny-musicgen');
  cpSync('tests/fixtures/sound-mono/base', folder, { recursive: true });
  const path = join(folder, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as {
    audio_encoder: { sampling_rate: number; target_bandwidths: number[] };
  };
  const { audio_encoder: codec } = config;
  // As many codes for as many samples: only time goes faster.
  const faster = 9000 / codec.sampling_rate;
  codec.target_bandwidths = codec.target_bandwidths.map((bandwidth) => bandwidth * faster);
  codec.sampling_rate = 9000;
  writeFileSync(path, JSON.stringify(config));
  return folder;
}

it(
  'goes the whole way: a base from disk, train, hear both, take the files',
  async () => {
    const { page } = visitor;
    const folder = tinyBase();
    await beginProject(page, 'A sound');
    await goToStep(page, 'Data');
    await page.setInputFiles(SONGS, [song('one.wav', 6), song('other.wav', 7, { root: 300, tempo: 150 })]);
    await heading(/^2 songs/).waitFor({ timeout: MINUTE });
    await page.getByRole('link', { name: 'Choose a base' }).click();
    await page.setInputFiles('input[aria-label="Model folder"]', folder);
    await page.getByText('mono of 9,000 samples a second').waitFor({ timeout: MINUTE });
    await check('base');
    await page.getByRole('link', { name: 'Go on to Train' }).click();
    await fillField(page, /Longest stretch/, '0.5');
    await page.getByText('More settings').click();
    await fillField(page, /Fixed number of steps/, '4');
    await fillField(page, /Save every/, '2');
    await fillField(page, /Sample every/, '4');
    await fillField(page, /Length of a sample/, '0.5');
    await page.getByLabel('Prompts to compose along the way').fill('a quick dance');
    await page.getByText(/^Fits/).waitFor({ timeout: MINUTE });
    await page.getByRole('button', { name: 'Train', exact: true }).click();
    await page.getByText('All 4 steps are done.').waitFor({ timeout: 4 * MINUTE });
    const samples = page.getByRole('region', { name: 'What it plays' });
    await samples.getByRole('button', { name: 'Play “a quick dance” as the base plays it' }).waitFor();
    await samples.getByRole('slider', { name: /Step/ }).waitFor();
    await page.waitForFunction(() => !document.querySelector('[data-play]:disabled'));
    await check('train');

    await page.getByRole('link', { name: 'Listen to it' }).click();
    await heading(/Hear the difference/).waitFor();
    expect(await page.getByLabel('What to compose').inputValue()).toBe('a quick dance');
    await fillField(page, /^Seconds/, '0.5');
    await page.getByRole('button', { name: 'Compose it' }).click();
    await page.getByRole('button', { name: 'Tuned is better' }).click({ timeout: 2 * MINUTE });
    await page.getByText(/^Of 1 vote: tuned better 1/).waitFor();
    await page.waitForFunction(() => !document.querySelector('[data-play]:disabled'));
    await check('try');
    const save = async (name: RegExp): Promise<{ file: string; bytes: Buffer }> => {
      const coming = page.waitForEvent('download');
      await page.getByRole('button', { name }).click();
      const download = await coming;
      return { file: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
    };
    const sound = await save(/^Save as WAV.*Tuned/);
    expect(sound.file).toBe('a-quick-dance-tuned-1.wav');
    expect(sound.bytes.readUInt32LE(24)).toBe(9000);
    // Half a second of 16 bits, to a code frame.
    expect(Math.abs((sound.bytes.length - 44) / 2 / 9000 - 0.5)).toBeLessThan(0.02);
    const small = await save(/^Save as Opus.*Base/);
    expect(small.file).toBe('a-quick-dance-base-1.ogg');
    expect(small.bytes.subarray(0, 4).toString()).toBe('OggS');

    await goToStep(page, 'Share');
    await page.getByRole('button', { name: 'Make the files' }).click();
    await page.getByRole('button', { name: /^Download .*\.zip/ }).waitFor({ timeout: MINUTE });
    await check('share');
    const zip = unzipSync((await save(/^Download .*\.zip/)).bytes);
    expect(Object.keys(zip).sort()).toEqual([
      'README.md',
      'adapter_config.json',
      'adapter_model.safetensors',
      'sample.wav',
    ]);
    const bundle = unzipSync((await save(/Download the bundle/)).bytes);
    expect(Object.keys(bundle)).toContain('data/0001-one.wav');
    // The project shows what it has become, and finds its way back to it.
    await page.goto(visitor.url);
    await page.getByText(/^Taught/).waitFor();
    rmSync(join(folder, '..'), { recursive: true });
  },
  10 * MINUTE,
);
