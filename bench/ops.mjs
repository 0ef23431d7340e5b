// node bench/ops.mjs [CASE…] [--runs 3] [--directions forward,gradient] [--sides ours,jax] [--json]: single convolutions and
// attentions, ours and jax-js's on the same numbers, in turns, in one Chromium page each (bench/browser.mjs says on which
// adapter). Cases as bench/ops-work.ts reads them; without any, Stable Diffusion 1.5's at 512 pixels.
import { parseArgs } from 'node:util';
import { serveFolder } from '../tools/static-server.mjs';
import { bundlePage, load, median, withBrowser } from './browser.mjs';
import { onPaper } from './roofline.mjs';

const CASES = [
  'conv1x64x64x320-320k3s1',
  'conv1x64x64x320-320k3s2',
  'conv1x64x64x320-320k1s1',
  'conv1x32x32x640-640k3s1',
  'conv1x16x16x1280-1280k3s1',
  'conv1x8x8x1280-1280k3s1',
  'attention4096h8x40',
  'attention1024h8x80',
  'attention256h8x160',
  'attention4096x77h8x40',
  'attention1024x77h8x80',
  'attention256x77h8x160',
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    directions: { type: 'string', default: 'forward,gradient' },
    sides: { type: 'string', default: 'ours,jax' },
    json: { type: 'boolean', default: false },
  },
});

const cases = positionals.length > 0 ? positionals : CASES;
const directions = /** @type {import('./ops-work.ts').Direction[]} */ (values.directions.split(','));

/** @typedef {import('./ops-page.ts').OpResult} OpResult */

/** @param {OpResult} result */
const said = ({ side, failure, firstSeconds, seconds, processor, dispatches, peakBytes }) =>
  failure === null
    ? `${side} ${median(seconds).toFixed(4)} s (best ${Math.min(...seconds).toFixed(4)}, first ${firstSeconds.toFixed(2)}; ` +
      `processor ${processor.length > 0 ? median(processor).toFixed(2) : '-'} s), ` +
      `${dispatches} ${dispatches === 1 ? 'dispatch' : 'dispatches'}, peak ${(peakBytes / 2 ** 20).toFixed(1)} MiB`
    : `${side} failed: ${failure}`;

/** How many times as fast, by the best run's clock and by processor time. @param {OpResult} ours @param {OpResult} jax */
function compared(ours, jax) {
  const clock = Math.min(...jax.seconds) / Math.min(...ours.seconds);
  const processor = median(jax.processor) / median(ours.processor);
  // The system counts processor time in hundredths of a second.
  const known = median(ours.processor) >= 0.05 ? `, ${processor.toFixed(2)} times by processor time` : '';
  return `${clock.toFixed(2)} times as fast as jax-js${known}`;
}

const server = await serveFolder(await bundlePage('ops-page'));
try {
  await withBrowser(server.url, async (open) => {
    let told = '';
    for (const work of cases) {
      for (const direction of directions) {
        const { page, adapter } = await open();
        const before = load();
        const settings = { work, direction, runs: Number(values.runs), sides: values.sides.split(',') };
        const { results, apart } = await page.evaluate((given) => window.athanorOps(given), settings);
        await page.close();
        const around = [before, load()];
        if (values.json) {
          console.log(JSON.stringify({ adapter, work, direction, results, apart, load: around }));
          continue;
        }
        if (adapter !== told) console.log(`${adapter}\n`);
        told = adapter;
        const [ours, jax] = ['ours', 'jax'].map((name) => results.find(({ side }) => side === name));
        const lines = [
          `${work} ${direction} (load ${around.map((each) => each.toFixed(1)).join(' to ')})`,
          ...results.map(said),
        ];
        if (ours?.cost) {
          const { flops, bytes } = ours.cost;
          const rate = (/** @type {number} */ seconds) => (flops / 1e9 / seconds).toFixed(1);
          lines.push(
            `${(flops / 1e9).toFixed(2)} GFLOP, ${(bytes / 1e6).toFixed(1)} MB: ${rate(Math.min(...ours.seconds))} GFLOP/s, ` +
              `${rate(median(ours.processor))} a processor second; on paper ${onPaper([ours.cost])}`,
          );
        }
        if (ours && jax && apart !== null)
          lines.push(`${compared(ours, jax)}; results ${apart.toExponential(1)} apart`);
        console.log(lines.join('\n  '));
      }
    }
  });
} finally {
  await server.close();
}
