// `virtual:shaders` gives every file of shaders/ under its name: one list, made by whichever builds, Vite (page, worker, tests)
// or esbuild (the headless runner, the benchmarks).
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MODULE = 'virtual:shaders';
/** Where the shaders lie. */
export const FOLDER = join(dirname(dirname(fileURLToPath(import.meta.url))), 'shaders');

/** The module's source; `load` says what a builder calls the text of a file. @param {(file: string) => string} load */
function source(load) {
  const names = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.wgsl'))
    .map((file) => file.slice(0, -'.wgsl'.length))
    .sort();
  const imports = names.map((name, i) => `import s${i} from ${JSON.stringify(load(`${name}.wgsl`))};`);
  const entries = names.map((name, i) => `${JSON.stringify(name)}: s${i}`);
  return `${imports.join('\n')}\nexport const SHADERS = { ${entries.join(', ')} };\n`;
}

/** @returns {import('vite').Plugin} */
export function shaders() {
  return {
    name: 'shaders',
    resolveId: (id) => (id === MODULE ? `\0${MODULE}` : undefined),
    load: (id) => (id === `\0${MODULE}` ? source((file) => `${FOLDER.replaceAll('\\', '/')}/${file}?raw`) : undefined),
  };
}

/** @returns {import('esbuild').Plugin} */
export function esbuildShaders() {
  return {
    name: 'shaders',
    setup(build) {
      build.initialOptions.loader = { ...build.initialOptions.loader, '.wgsl': 'text' };
      build.onResolve({ filter: /^virtual:shaders$/ }, ({ path }) => ({ path, namespace: 'shaders' }));
      build.onLoad({ filter: /.*/, namespace: 'shaders' }, () => ({
        contents: source((file) => `./${file}`),
        resolveDir: FOLDER,
        watchDirs: [FOLDER],
      }));
    },
  };
}
