// npm run bench [-- --shapes S,M --steps 20 --sides ours,jax]: our training step and jax-js's on the same work, in turns, in one
// Chromium with empty shader caches (bench/browser.mjs says on which adapter).
import { parseArgs } from 'node:util';
import { serveFolder } from '../tools/static-server.mjs';
import { bundlePage, median, withBrowser } from './browser.mjs';

/** @typedef {import('./page.ts').SideResult} SideResult */

const { values } = parseArgs({
  options: {
    shapes: { type: 'string', default: 'S,M' },
    steps: { type: 'string', default: '20' },
    sides: { type: 'string', default: 'ours,jax' },
    json: { type: 'boolean', default: false },
  },
});

/**
 * One shape in a browser of its own, so that no shader is compiled before its first step.
 * @param {string} url @param {import('./page.ts').Settings} settings
 * @returns {Promise<{ adapter: string, results: SideResult[] }>}
 */
function measure(url, settings) {
  return withBrowser(url, async (open) => {
    const { page, adapter } = await open();
    const results = await page.evaluate((given) => window.athanorBench(given), settings);
    return { adapter, results };
  });
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

const server = await serveFolder(await bundlePage('page'));
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
