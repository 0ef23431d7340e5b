import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toTensor } from '../../src/datasets/look/to-tensor.ts';
import { ort } from '../../tools/vite-plugin-ort.ts';
import { openBrowser, serveApp } from '../support/browser.ts';
import type { TestBrowser } from '../support/browser.ts';
import {
  animatedGif,
  animatedWebp,
  bmp,
  cmykJpeg,
  encoded,
  heicHead,
  jpeg,
  paint,
  png,
  quarters,
  seeded,
  statedPng,
  toSharp,
} from '../support/pictures.ts';
import type { Bytes } from '../support/pictures.ts';
import type { PictureTasks } from '../support/pictures-worker.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const FIXTURE = join(ROOT, 'tests/fixtures/look-captioner');
const TWENTY_FOUR_MEGAPIXELS = { width: 6000, height: 4000 };

let site = '';
let browser: TestBrowser;
let server: { url: string; close: () => Promise<void> };
let page: Page;
const requests: string[] = [];

/** A page of our own with the policy of the real one, and the worker built as the real ones are. */
async function buildSite(folder: string): Promise<void> {
  const source = mkdtempSync(join(ROOT, '.cache/pictures-'));
  try {
    const policy = /<meta\s+http-equiv="Content-Security-Policy"[^>]*>/.exec(
      readFileSync(join(ROOT, 'index.html'), 'utf8'),
    )![0];
    writeFileSync(
      join(source, 'index.html'),
      `<!doctype html>${policy}<script type="module" src="./main.ts"></script>`,
    );
    writeFileSync(
      join(source, 'main.ts'),
      `const worker = new Worker(new URL(${JSON.stringify(join(ROOT, 'tests/support/pictures-worker.ts'))}, import.meta.url), { type: 'module' });
       window.ask = (name, given) => new Promise((resolve, reject) => {
         worker.onmessage = ({ data }) => (data.failed ? reject(new Error(data.failed)) : resolve(data.done));
         worker.onerror = (event) => reject(new Error(event.message));
         worker.postMessage({ name, given });
       });`,
    );
    await build({
      configFile: false,
      root: source,
      base: './',
      logLevel: 'error',
      plugins: [ort()],
      worker: { format: 'es' },
      build: { target: 'es2022', outDir: folder, emptyOutDir: true },
    });
  } finally {
    rmSync(source, { recursive: true, force: true });
  }
}

function put(name: string, bytes: Uint8Array): string {
  writeFileSync(join(site, 'files', name), bytes);
  return `/files/${name}`;
}

function ask<K extends keyof PictureTasks>(
  name: K,
  given: Parameters<PictureTasks[K]>[0],
): Promise<Awaited<ReturnType<PictureTasks[K]>>> {
  return page.evaluate(
    ([task, with_]) =>
      (window as unknown as { ask: (name: string, given: unknown) => Promise<never> }).ask(task as string, with_),
    [name, given] as const,
  );
}

/** Bytes in memory of the largest process below the browser's, by Linux' own books. */
function largestRenderer(userDataDir: string): number {
  const parents = new Map<number, number>();
  const renderers: number[] = [];
  const roots = new Set<number>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      parents.set(pid, Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]));
      if (command.includes('--type=renderer')) renderers.push(pid);
      else if (command.includes(userDataDir)) roots.add(pid);
    } catch {
      // Gone since the folder was read.
    }
  }
  const isOurs = (pid: number): boolean => roots.has(pid) || (parents.has(pid) && isOurs(parents.get(pid)!));
  return Math.max(
    0,
    ...renderers.filter(isOurs).map((pid) => {
      try {
        return 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
      } catch {
        return 0;
      }
    }),
  );
}

beforeAll(async () => {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  site = mkdtempSync(join(tmpdir(), 'athanor-pictures-'));
  await buildSite(site);
  mkdirSync(join(site, 'files'));
  cpSync(FIXTURE, join(site, 'captioner'), { recursive: true });
  server = await serveApp(site);
  browser = await openBrowser();
  page = await browser.context.newPage();
  browser.context.on('request', (request) => requests.push(request.url()));
  await page.goto(server.url);
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
  rmSync(site, { recursive: true, force: true });
});

const picture = paint(160, 96, quarters);
const opaque = () => toSharp(picture).removeAlpha();
const [RED, GREEN, BLUE, WHITE] = [
  [220, 30, 30],
  [30, 200, 30],
  [30, 30, 220],
  [240, 240, 240],
];
/** Where the colours of red, green / blue, white lie after each of EXIF's turnings. */
const TURNED = [
  [RED, GREEN, BLUE, WHITE],
  [GREEN, RED, WHITE, BLUE],
  [WHITE, BLUE, GREEN, RED],
  [BLUE, WHITE, RED, GREEN],
  [RED, BLUE, GREEN, WHITE],
  [BLUE, RED, WHITE, GREEN],
  [WHITE, GREEN, BLUE, RED],
  [GREEN, WHITE, RED, BLUE],
] as number[][][];

interface Decoded {
  size: number[];
  quarters: number[][];
  again: Record<'jpeg' | 'png', { kind: string; size: number[]; quarters: number[][] }>;
}

function expectQuarters(found: number[][], wanted: number[][], within: number, what: string): void {
  found.forEach((colour, i) => {
    wanted[i]!.forEach((value, c) => {
      expect(Math.abs(colour[c]! - value), `${what}, quarter ${i}: ${colour.join()}`).toBeLessThanOrEqual(within);
    });
  });
}

describe('pictures in the browser', () => {
  it.each(['jpg', 'webp', 'png'])('are turned as EXIF says and written without it: %s', async (format) => {
    for (let orientation = 1; orientation <= 8; orientation++) {
      const image = opaque().withMetadata({ orientation });
      const bytes =
        format === 'jpg'
          ? await jpeg(picture, orientation)
          : await encoded(format === 'webp' ? image.webp() : image.png());
      const found = (await ask('decode', { address: put(`${orientation}.${format}`, bytes) })) as Decoded;
      const size = orientation >= 5 ? [96, 160] : [160, 96];
      expect(found.size, `${format} ${orientation}`).toEqual(size);
      expectQuarters(found.quarters, TURNED[orientation - 1]!, 4, `${format} ${orientation}`);
      for (const kind of ['jpeg', 'png'] as const) {
        expect(found.again[kind]).toMatchObject({ kind, size });
        expectQuarters(found.again[kind].quarters, TURNED[orientation - 1]!, 6, `${format} ${orientation} as ${kind}`);
      }
    }
  });

  it('of every kind that Chromium reads are read, the first frame of what moves', async () => {
    const frames = [picture, paint(160, 96, () => [0, 0, 0])];
    const files: [string, Bytes][] = [
      ['a.avif', await encoded(opaque().avif({ effort: 0, quality: 80 }))],
      ['a.gif', await animatedGif(frames)],
      ['moves.webp', await animatedWebp(frames)],
      ['a.bmp', bmp(picture)],
      ['wide.jpg', await encoded(opaque().resize(20_000, 500, { fit: 'fill', kernel: 'nearest' }).jpeg())],
    ];
    for (const [name, bytes] of files) {
      const found = (await ask('decode', { address: put(name, bytes) })) as Decoded;
      expect(found.size, name).toEqual(name === 'wide.jpg' ? [8192, 205] : [160, 96]);
      expectQuarters(found.quarters, TURNED[0]!, 6, name);
    }
    // Chromium knows printing colours only roughly: what was red is still the reddest.
    const print = (await ask('decode', { address: put('print.jpg', await cmykJpeg(picture)) })) as Decoded;
    expect(print.quarters[0]![0]).toBeGreaterThan(180);
    expect(print.quarters[2]![2]).toBeGreaterThan(180);
  });

  it('keep what is transparent in PNG and lay it on white in JPEG', async () => {
    const clear = paint(40, 40, (x) => (x < 0.5 ? [255, 0, 0, 0] : [20, 40, 250]));
    const found = (await ask('decode', { address: put('clear.png', await png(clear)) })) as Decoded;
    expect(found.quarters[0]![3]).toBe(0);
    expect(found.again.png.quarters[0]![3]).toBe(0);
    expect(found.again.png.quarters[1]).toEqual([20, 40, 250, 255]);
    expectQuarters([found.again.jpeg.quarters[0]!], [[255, 255, 255]], 4, 'JPEG');
  });

  it('that cannot be read are refused, not guessed', async () => {
    for (const [name, bytes, outcome] of [
      ['bomb.png', statedPng(60_000, 60_000), { refused: 'too large' }],
      ['notes.jpg', new TextEncoder().encode('words, words, words'), { refused: 'not a picture' }],
      ['lies.png', statedPng(500, 500), { failed: expect.stringMatching(/InvalidStateError/) as unknown }],
      ['phone.heic', heicHead(400, 300), { failed: expect.stringMatching(/InvalidStateError/) as unknown }],
    ] as const) {
      expect(await ask('decode', { address: put(name, bytes) }), name).toEqual(outcome);
    }
  });

  it('become the same tensors as in Node, to the bit', async () => {
    const random = seeded(8);
    const [width, height] = [150, 90];
    const values = Array.from({ length: 4 * width * height }, () => Math.floor(256 * random()));
    for (const bucket of [
      [64, 40],
      [192, 128],
    ] as [number, number][]) {
      const row = { width, height, crop: { x: 3, y: 5, width: 133, height: 80 }, bucket };
      const ours = toTensor({ width, height, data: Uint8ClampedArray.from(values) }, row);
      expect(await ask('tensor', { ...row, values })).toBe(
        createHash('sha256').update(new Uint8Array(ours.buffer)).digest('hex'),
      );
    }
  });

  if (process.platform === 'linux')
    it('40 of 24 megapixels take less than 500 MB', async () => {
      const noise = await encoded(
        sharp({
          create: {
            width: 750,
            height: 500,
            channels: 3,
            background: '#888',
            noise: { type: 'gaussian', mean: 128, sigma: 40 },
          },
        }).png(),
      );
      const { width, height } = TWENTY_FOUR_MEGAPIXELS;
      const photo = await encoded(
        sharp(noise).resize(width, height, { kernel: 'cubic' }).withMetadata({ orientation: 6 }).jpeg({ quality: 90 }),
      );
      const address = put('photo.jpg', photo);
      let peak = 0;
      const timer = setInterval(() => {
        peak = Math.max(peak, largestRenderer(browser.userDataDir));
      }, 50);
      const found = await ask('many', { address, count: 40 });
      clearInterval(timer);
      console.log(`40 pictures of 24 megapixels: ${found.seconds.toFixed(1)} s, at most ${(peak / 1e6).toFixed(0)} MB`);
      expect(found).toMatchObject({ rows: 40, width: 4000, height: 6000 });
      expect(peak).toBeGreaterThan(100e6);
      expect(peak).toBeLessThan(500e6);
    });
});

describe('captions in the browser', () => {
  it('are those of transformers, under the page’s own policy, from the page’s own server', async () => {
    const expected = JSON.parse(readFileSync(join(FIXTURE, 'expected.json'), 'utf8')) as {
      side: number;
      captions: { seed: number; text: string }[];
    };
    const addresses = await Promise.all(
      expected.captions.map(async ({ seed }) => {
        const bands = paint(expected.side, expected.side, (u, v) => {
          const [x, y] = [Math.floor(u * expected.side), Math.floor(v * expected.side)];
          return [(x * (3 + seed)) % 256, (y * (5 + 2 * seed)) % 256, ((x + y) * (1 + 3 * seed)) % 256];
        });
        return put(`bands-${seed}.png`, await encoded(toSharp(bands).removeAlpha().png()));
      }),
    );
    const files = (readdirSync(FIXTURE, { recursive: true }) as string[]).filter((name) => /\.\w+$/.test(name));
    expect(await ask('describe', { files, folder: '/captioner', addresses })).toEqual(
      expected.captions.map(({ text }) => text),
    );
    expect(requests.filter((address) => !address.startsWith(server.url))).toEqual([]);
    expect(requests.filter((address) => address.endsWith('.wasm')).length).toBe(1);
  });
});
