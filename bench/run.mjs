// npm run bench [-- --shapes S,M --steps 20 --sides ours,jax]: our training step and jax-js's on the same work, in turns, in one
// Chromium with empty shader caches. SwiftShader unless ATHANOR_LAVAPIPE names a folder with lavapipe's browser, or
// ATHANOR_BROWSER_GPU=hardware asks for the real card.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { chromiumArguments, chromiumEnvironment, findChromium } from '../tools/chromium.mjs';
import { serveFolder } from '../tools/static-server.mjs';

/** @typedef {import('./page.ts').SideResult} SideResult */

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, '.cache/bench');

const { values } = parseArgs({
  options: {
    shapes: { type: 'string', default: 'S,M' },
    steps: { type: 'string', default: '20' },
    sides: { type: 'string', default: 'ours,jax' },
    json: { type: 'boolean', default: false },
  },
});

/** @param {readonly number[]} numbers */
function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? NaN)
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

async function bundle() {
  mkdirSync(folder, { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: ['bench/page.ts'],
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    logLevel: 'error',
    loader: { '.wgsl': 'text' },
  });
  writeFileSync(
    join(folder, 'index.html'),
    '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module" src="page.js"></script>',
  );
}

/**
 * One shape in a browser of its own, so that no shader is compiled before its first step.
 * @param {string} url @param {import('./page.ts').Settings} settings
 * @returns {Promise<{ adapter: string, results: SideResult[] }>}
 */
async function measure(url, settings) {
  const executablePath = findChromium();
  if (!executablePath) throw new Error('No Chrome or Chromium was found: install one, or set CHROME_PATH.');
  const fresh = mkdtempSync(join(tmpdir(), 'athanor-bench-'));
  const env = { ...chromiumEnvironment(), MESA_SHADER_CACHE_DIR: join(fresh, 'mesa') };
  const context = await chromium.launchPersistentContext(join(fresh, 'profile'), {
    executablePath,
    headless: true,
    args: chromiumArguments(),
    env: Object.fromEntries(Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
  });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(0);
    page.on('pageerror', (error) => console.error(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') console.error(message.text());
    });
    await page.goto(url);
    await page.waitForFunction(() => document.title === 'ready');
    const adapter = await page.evaluate(async () => {
      const found = await navigator.gpu.requestAdapter();
      if (!found) throw new Error('This browser gives no WebGPU adapter.');
      const { vendor, architecture, description, subgroupMinSize } = /** @type {any} */ (found.info);
      return [vendor, architecture, description, `subgroups of ${subgroupMinSize}`].filter(Boolean).join(' ');
    });
    const results = await page.evaluate((given) => window.athanorBench(given), settings);
    return { adapter, results };
  } finally {
    await context.close();
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** @param {number | null} value */
const mebibytes = (value) => (value === null ? '-' : `${(value / 2 ** 20).toFixed(2)} MiB`);

/** @param {string} shape @param {readonly SideResult[]} results */
function print(shape, results) {
  for (const result of results) {
    const step = median(result.stepSeconds);
    const share =
      result.encodeSeconds.length === 0 ? '-' : `${((100 * median(result.encodeSeconds)) / step).toFixed(1)} %`;
    console.log(
      [
        `${shape} ${result.side.padEnd(4)}`,
        `first ${result.firstStepSeconds.toFixed(3)} s`,
        `step ${step.toFixed(4)} s (median of ${result.stepSeconds.length})`,
        `${result.dispatchesPerStep} dispatches in ${result.submitsPerStep} submits`,
        `planned ${mebibytes(result.plannedBytes)}, measured ${mebibytes(result.measuredBytes)}, peak ${mebibytes(result.peakBytes)}`,
        `encode and submit ${share}`,
        `loss ${result.losses[0]?.toFixed(5)} -> ${result.losses.at(-1)?.toFixed(5)}`,
      ].join(' | '),
    );
  }
  const [ours, other] = ['ours', 'jax'].map((name) => results.find((result) => result.side === name));
  if (!ours || !other) return;
  const faster = median(other.stepSeconds) / median(ours.stepSeconds);
  const first = ours.firstStepSeconds / other.firstStepSeconds;
  const apart = Math.max(...ours.losses.map((loss, i) => Math.abs(loss - (other.losses[i] ?? NaN)) / Math.abs(loss)));
  console.log(
    `${shape}: ${faster.toFixed(2)} times as fast as jax-js; first step in ${first.toFixed(2)} of its time; ` +
      `losses at most ${apart.toExponential(1)} apart over ${ours.losses.length} steps`,
  );
}

await bundle();
const server = await serveFolder(folder);
try {
  for (const shape of values.shapes.split(',')) {
    const { adapter, results } = await measure(server.url, {
      shape,
      steps: Number(values.steps),
      sides: values.sides.split(','),
    });
    if (values.json) {
      console.log(JSON.stringify({ shape, adapter, results }));
    } else {
      console.log(`\n${adapter}`);
      print(shape, results);
    }
  }
} finally {
  await server.close();
}
