// npm run headless: the engine in a terminal. Bundles src/headless/main.ts when a source has changed, then runs it on the GPU.
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runWithGpu } from './gpu-env.mjs';
import { esbuildShaders } from './shaders.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, 'node_modules/.cache/athanor');
const bundle = join(cache, 'headless.mjs');
const stamps = join(cache, 'headless.inputs.json');

/** @param {string} path relative to the root */
function stamp(path) {
  try {
    const { mtimeMs, size } = statSync(join(root, path));
    return `${mtimeMs} ${size}`;
  } catch {
    return 'gone';
  }
}

function isFresh() {
  if (!existsSync(bundle) || !existsSync(stamps)) return false;
  /** @type {Record<string, string>} */
  const seen = JSON.parse(readFileSync(stamps, 'utf8'));
  return Object.entries(seen).every(([path, value]) => stamp(path) === value);
}

async function build() {
  const { build: bundleWithEsbuild } = await import('esbuild');
  // Written beside and renamed, so that a second run never reads half a file.
  const own = `${bundle}.${process.pid}`;
  const result = await bundleWithEsbuild({
    absWorkingDir: root,
    entryPoints: ['src/headless/main.ts'],
    outfile: own,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    sourcesContent: false,
    metafile: true,
    logLevel: 'error',
    plugins: [esbuildShaders()],
    external: ['webgpu'],
    define: { 'import.meta.env.DEV': 'false', 'import.meta.env.PROD': 'true' },
    // Dependencies written for CommonJS call require(), which a module does not have.
    banner: {
      js: "import { createRequire as $createRequire } from 'node:module'; const require = $createRequire(import.meta.url);",
    },
  });
  // The folder itself: a shader more is a change of no file.
  const inputs = [
    ...Object.keys(result.metafile.inputs),
    'shaders',
    'tools/headless.mjs',
    'tools/shaders.mjs',
    'package.json',
  ];
  renameSync(own, bundle);
  writeFileSync(
    `${stamps}.${process.pid}`,
    JSON.stringify(Object.fromEntries(inputs.map((path) => [path, stamp(path)]))),
  );
  renameSync(`${stamps}.${process.pid}`, stamps);
}

mkdirSync(cache, { recursive: true });
if (!isFresh()) {
  try {
    await build();
  } catch (error) {
    // esbuild has already said which line of which file.
    process.stderr.write(`The headless runner could not be built: ${error instanceof Error ? error.message : error}\n`);
    process.exit(1);
  }
}
// npm changes to the package's folder; paths on the command line are meant from where the person stands.
const cwd = (process.env['npm_lifecycle_event'] === 'headless' && process.env['INIT_CWD']) || process.cwd();
process.exit(await runWithGpu(['--enable-source-maps', bundle, ...process.argv.slice(2)], { cwd }));
