// What the benchmarks that run in Chromium share: bundling a page, and a browser with empty shader caches. SwiftShader unless
// ATHANOR_LAVAPIPE names a folder with lavapipe's browser, or ATHANOR_BROWSER_GPU=hardware asks for the real card.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { chromiumArguments, chromiumEnvironment, findChromium } from '../tools/chromium.mjs';
import { esbuildShaders } from '../tools/shaders.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, '.cache/bench');

/** Bundles bench/`name`.ts with a page around it. @param {string} name @returns {Promise<string>} the folder to serve */
export async function bundlePage(name) {
  mkdirSync(folder, { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: [`bench/${name}.ts`],
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    logLevel: 'error',
    plugins: [esbuildShaders()],
  });
  writeFileSync(
    join(folder, 'index.html'),
    `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module" src="${name}.js"></script>`,
  );
  return folder;
}

/**
 * Seconds of processor time, all threads together, that the graphics process of the browser with this profile has taken; null
 * where the system has no /proc. A software adapter computes there, and on a busy machine this is steadier than the clock.
 * @param {string} profile
 */
function graphicsSeconds(profile) {
  if (!existsSync('/proc/self/stat')) return null;
  /** @type {Map<string, { parent: string, command: string, ticks: number }>} */
  const processes = new Map();
  for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      // After the name in brackets: state, parent, …, and as the 12th and 13th user and system ticks of 10 ms.
      const fields = readFileSync(`/proc/${id}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      const command = readFileSync(`/proc/${id}/cmdline`, 'utf8');
      processes.set(id, { parent: fields[1] ?? '', command, ticks: Number(fields[11]) + Number(fields[12]) });
    } catch {
      // It has ended meanwhile.
    }
  }
  /** @param {string} id @returns {boolean} */
  const isOurs = (id) => {
    const found = processes.get(id);
    return found !== undefined && (found.command.includes(profile) || isOurs(found.parent));
  };
  const graphics = [...processes].find(([id, { command }]) => command.includes('--type=gpu-process') && isOurs(id));
  return graphics ? graphics[1].ticks / 100 : null;
}

/**
 * A browser of its own for `use`, which is given a function that opens a fresh page (with window.athanorGraphicsSeconds, see above) and says which adapter it
 * has.
 * @template R
 * @param {string} url
 * @param {(open: () => Promise<{ page: import('playwright-core').Page, adapter: string }>) => Promise<R>} use
 * @returns {Promise<R>}
 */
export async function withBrowser(url, use) {
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
  const open = async () => {
    const page = await context.newPage();
    page.setDefaultTimeout(0);
    await page.exposeFunction('athanorGraphicsSeconds', () => graphicsSeconds(fresh));
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
    return { page, adapter };
  };
  try {
    return await use(open);
  } finally {
    await context.close();
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** @param {readonly number[]} numbers */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? NaN)
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

/** Programs that wanted a processor in the last minute, on average, where the system says so: what a timing shared it with. */
export function load() {
  try {
    return Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]);
  } catch {
    return NaN;
  }
}
