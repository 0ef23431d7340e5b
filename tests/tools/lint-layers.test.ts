import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ESLint } from 'eslint';
import { beforeAll, expect, test } from 'vitest';
import { KNOWS, LAYERS, isAllowed } from '../../tools/eslint-layers.js';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
let eslint: ESLint;

beforeAll(() => {
  // The project's own configuration, without the rules that need types: the files linted here do not exist.
  const rules = ['no-floating-promises', 'no-misused-promises', 'await-thenable', 'switch-exhaustiveness-check'];
  eslint = new ESLint({
    cwd: root,
    overrideConfig: {
      languageOptions: { parserOptions: { projectService: false } },
      rules: Object.fromEntries(rules.map((name) => [`@typescript-eslint/${name}`, 'off'])),
    },
  });
});

async function messages(path: string, code: string): Promise<string[]> {
  const [result] = await eslint.lintText(code, { filePath: join(root, path) });
  return (result?.messages ?? []).map((message) => `${message.ruleId}: ${message.message}`);
}

test.each([
  ['an import', 'src/engine/a.ts', "import { x } from '../models/b.ts';\nx();\n"],
  ['a type import', 'src/models/a.ts', "import type { X } from '../tasks/voice/b.ts';\nexport type Y = X;\n"],
  ['a re-export', 'src/training/sub/a.ts', "export { x } from '../../worker/b.ts';\n"],
  ['a star export', 'src/adapters/a.ts', "export * from '../training/b.ts';\n"],
  ['a dynamic import', 'src/datasets/a.ts', "export const x = import('../storage/b.ts');\n"],
  ['an import type', 'src/storage/a.ts', "export type X = import('../state/b.ts').X;\n"],
  ['the address of a worker', 'src/tasks/a.ts', "export const x = new URL('../worker/b.ts', import.meta.url);\n"],
  ['a component', 'src/state/a.svelte.ts', "import X from '../app/X.svelte';\nexport const y = X;\n"],
  ['the engine reaching for storage', 'src/engine/a.ts', "import { x } from '../storage/b.ts';\nx();\n"],
  ['what every layer may use reaching for one', 'src/common/a.ts', "import { x } from '../engine/b.ts';\nx();\n"],
  ['the page reaching into the terminal', 'src/app/a.ts', "import { x } from '../headless/b.ts';\nx();\n"],
])('%s that goes up is an error', async (_what, path, code) => {
  const found = (await messages(path, code)).filter((message) => message.startsWith('athanor/'));
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(/^athanor\/layers: '\w+' must not import from '\w+'/);
});

test('imports that go down or stay are fine', async () => {
  expect(await messages('src/app/a.ts', "import { x } from '../state/b.ts';\nx();\n")).toEqual([]);
  expect(await messages('src/models/a.ts', "import { x } from './b.ts';\nx();\n")).toEqual([]);
  expect(
    await messages('src/models/a.ts', "import text from '../../shaders/b.wgsl';\nexport const y = text;\n"),
  ).toEqual([]);
  expect(
    await messages(
      'src/datasets/a.ts',
      "import { UserError } from '../common/errors.ts';\nexport const y = UserError;\n",
    ),
  ).toEqual([]);
  expect(await messages('src/headless/a.ts', "import { x } from '../tasks/b.ts';\nx();\n")).toEqual([]);
});

test('a folder that is no layer, and Node in the page, are errors', async () => {
  expect(await messages('src/utils/a.ts', 'export const x = 1;\n')).toEqual([
    expect.stringContaining("'utils' is no layer"),
  ]);
  expect(await messages('src/app/a.ts', "import { x } from 'node:fs';\nx();\n")).toEqual([
    expect.stringContaining('Only src/headless'),
  ]);
});

test('no two layers may import each other', () => {
  for (const a of LAYERS)
    for (const b of LAYERS) if (a !== b) expect(isAllowed(a, b) && isAllowed(b, a), `${a}, ${b}`).toBe(false);
});

test('docs/architecture.md says of each layer what the rule allows', () => {
  const doc = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
  const rows = [...doc.matchAll(/^\| `src\/(\w+)` *\|[^|]*\|([^|]*)\|$/gm)];
  const said = Object.fromEntries(rows.map(([, layer, knows]) => [layer, knows!.trim()]));
  const held = Object.entries(KNOWS).map(([layer, knows]) => [layer, knows.join(', ') || 'nothing']);
  expect(said).toEqual(Object.fromEntries(held));
});
