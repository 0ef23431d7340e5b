// npm run test:seeds -- N [FILE OR NAME]: every test of the unit and gpu rings that draws fresh numbers, under N seeds each.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [count = '', filter] = process.argv.slice(2);
if (!/^[1-9]\d*$/.test(count)) {
  console.error('Say how many seeds: npm run test:seeds -- N [PART OF A FILE OR TEST NAME]');
  process.exit(1);
}

// Tests that draw fresh numbers do so by tests/support/seeds.ts; no other file is loaded.
const files = readdirSync(join(root, 'tests'), { recursive: true, encoding: 'utf8' })
  .map((path) => `tests/${path.replaceAll('\\', '/')}`)
  .filter((path) => path.endsWith('.test.ts') && !/^tests\/(app|interop)\//.test(path))
  .filter((path) => /\bseeded\b/.test(readFileSync(join(root, path), 'utf8')));
const named = filter === undefined ? files : files.filter((path) => path.includes(filter));
const chosen = named.length > 0 ? named : files;
const name = named.length > 0 || filter === undefined ? [] : ['-t', filter.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')];

/** @typedef {import('./seeds-reporter.mjs').Row} Row */
/** @type {Row[]} */
const rows = [];
let broken = false;
for (const ring of ['unit', 'gpu']) {
  const own = chosen.filter((path) => path.startsWith('tests/gpu/') === (ring === 'gpu'));
  if (own.length === 0) continue;
  const report = join(root, `.cache/test-results/seeds-${ring}.json`);
  rmSync(report, { force: true });
  const args = [
    ...(ring === 'gpu' ? [join(root, 'tools/with-gpu.mjs')] : []),
    join(root, 'node_modules/vitest/vitest.mjs'),
    ...['run', '--project', ring, '--maxWorkers=1', '--tags-filter=fresh-random', '--passWithNoTests', '--silent'],
    ...[`--reporter=${join(root, 'tools/seeds-reporter.mjs')}`, ...name, ...own],
  ];
  const env = { ...process.env, ATHANOR_SEEDS: count, ATHANOR_SEEDS_REPORT: report };
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env });
  const told = existsSync(report) ? /** @type {Row[]} */ (JSON.parse(readFileSync(report, 'utf8'))) : [];
  rows.push(...told);
  if (status !== 0) broken = true;
}

console.log('\nseeds  failed  seconds  test');
for (const { file, name: test, ran, failed, seconds } of rows) {
  const numbers = [String(ran).padStart(5), String(failed).padStart(6), seconds.toFixed(1).padStart(7)];
  console.log(`${numbers.join('  ')}  ${file.replace('tests/', '')} > ${test}`);
}
const failed = rows.filter((row) => row.failed > 0).length;
const short = rows.filter((row) => row.ran !== Number(count)).length;
console.log(`${rows.length} tests under ${count} seeds each: ${rows.length - failed} passed, ${failed} failed`);
process.exit(broken || failed > 0 || short > 0 || rows.length === 0 ? 1 : 0);
