// npm run bench [-- --shapes S,M --steps 20 --sides ours,jax,jax-out-in]: our training step and jax-js's on the same work, in
// turns, in one Chromium with empty shader caches (bench/browser.mjs says on which adapter). jax-js runs in both layouts of the
// linear layers, each in a browser of its own with a step of ours beside it: jax has them [in, out], which it multiplies as they
// lie, jax-out-in [out, in], as transformers keeps them.
import { parseArgs } from 'node:util';
import { serveFolder } from '../tools/static-server.mjs';
import { bundlePage, load, median, withBrowser } from './browser.mjs';

/** @typedef {import('./page.ts').SideResult} SideResult */

const { values } = parseArgs({
  options: {
    shapes: { type: 'string', default: 'S,M' },
    steps: { type: 'string', default: '20' },
    sides: { type: 'string', default: 'ours,jax,jax-out-in' },
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

/** Mean of a step, all threads together: says more than the clock on a busy machine. @param {SideResult} result */
function processorSeconds({ processorSeconds: steps }) {
  const counted = steps.filter((seconds) => seconds !== null);
  return counted.length === 0 ? null : counted.reduce((sum, seconds) => sum + seconds, 0) / counted.length;
}

/** @param {string} shape @param {readonly SideResult[]} results */
function print(shape, results) {
  for (const result of results) {
    const step = median(result.stepSeconds);
    const share =
      result.encodeSeconds.length === 0 ? '-' : `${((100 * median(result.encodeSeconds)) / step).toFixed(1)} %`;
    console.log(
      [
        `${shape} ${result.side.padEnd(10)}`,
        `first ${result.firstStepSeconds.toFixed(3)} s`,
        `step ${step.toFixed(4)} s (median of ${result.stepSeconds.length})`,
        `processor ${processorSeconds(result)?.toFixed(3) ?? '-'} s a step`,
        `${result.dispatchesPerStep} dispatches in ${result.submitsPerStep} submits`,
        `planned ${mebibytes(result.plannedBytes)}, measured ${mebibytes(result.measuredBytes)}, peak ${mebibytes(result.peakBytes)}`,
        `encode and submit ${share}`,
        `loss ${result.losses[0]?.toFixed(5)} -> ${result.losses.at(-1)?.toFixed(5)}`,
      ].join(' | '),
    );
  }
  const ours = results.find(({ side }) => side === 'ours');
  const other = results.find(({ side }) => side !== 'ours');
  if (ours && other) {
    const faster = median(other.stepSeconds) / median(ours.stepSeconds);
    const first = ours.firstStepSeconds / other.firstStepSeconds;
    const apart = Math.max(...ours.losses.map((loss, i) => Math.abs(loss - (other.losses[i] ?? NaN)) / Math.abs(loss)));
    console.log(
      `${shape}: ${faster.toFixed(2)} times as fast as ${other.side}; first step in ${first.toFixed(2)} of its time; ` +
        `losses at most ${apart.toExponential(1)} apart over ${ours.losses.length} steps`,
    );
  }
}

const server = await serveFolder(await bundlePage('page'));
try {
  const others = values.sides.split(',').filter((side) => side !== 'ours');
  const ours = values.sides.split(',').filter((side) => side === 'ours');
  // Two sides of jax-js in one browser would share compiled shaders: the second one's first step would look short.
  const rounds = others.length > 0 ? others.map((other) => [...ours, other]) : [ours];
  for (const shape of values.shapes.split(',')) {
    for (const sides of rounds) {
      const { adapter, results } = await measure(server.url, { shape, steps: Number(values.steps), sides });
      if (values.json) {
        console.log(JSON.stringify({ shape, adapter, results }));
      } else {
        console.log(`\n${adapter}, load ${load()}`);
        print(shape, results);
      }
    }
  }
} finally {
  await server.close();
}
