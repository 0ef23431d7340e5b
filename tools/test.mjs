// npm test: every ring, one after the other, and the true totals on the last line. `npm test -- unit gpu` runs only those.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { aptInstall } from './apt.mjs';
import { findChromium } from './chromium.mjs';
import { gpuChoices, NO_ADAPTER_SENTENCE } from './gpu-env.mjs';
import { preparePython } from './python.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const results = join(root, '.cache/test-results');
const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const RINGS = ['unit', 'gpu', 'app', 'interop'];

/** @type {{ name: string, passed: number, failed: number, note: string }[]} */
const counts = [];

/** What failed, said again before the totals: nobody scrolls through the log of an hour. @type {string[]} */
const failures = [];

/**
 * @param {string} command @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
function run(command, args, env = process.env) {
  return spawnSync(command, args, { cwd: root, stdio: 'inherit', env }).status ?? 1;
}

/** What a ring could not begin for: counted as one failure, so that nothing left out looks like success. @param {string} name @param {string} why */
function failWhole(name, why) {
  console.error(`\n${name}: ${why}`);
  counts.push({ name, passed: 0, failed: 1, note: why });
}

/** @param {string} name @param {{ node: string, env: NodeJS.ProcessEnv }} [where] */
function runRing(name, where = { node: process.execPath, env: process.env }) {
  const report = join(results, `${name}.json`);
  rmSync(report, { force: true });
  console.log(`\n— ${name}`);
  const progress = `--reporter=${join(root, 'tools/progress-reporter.mjs')}`;
  const reporters = [progress, '--silent=passed-only', '--reporter=json', `--outputFile.json=${report}`];
  // A log file is read without colours.
  const { FORCE_COLOR: _, ...plain } = where.env;
  const env = process.stdout.isTTY ? where.env : { ...plain, NO_COLOR: '1' };
  const status = run(where.node, [vitest, 'run', '--project', name, ...reporters], env);
  if (!existsSync(report)) {
    failWhole(name, `the test runner ended with status ${status} and wrote no report.`);
    return;
  }
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
    readFileSync(report, 'utf8'),
  );
  // A file that does not even load has no test that could fail; it counts as one. So does an error outside every test.
  const broken = testResults.filter(
    (/** @type {any} */ file) =>
      file.status === 'failed' && file.assertionResults.every((/** @type {any} */ t) => t.status !== 'failed'),
  ).length;
  for (const file of testResults) {
    if (file.status === 'failed' && file.message) failures.push(`${name}: ${file.name}\n${file.message}`);
    for (const { status, fullName, failureMessages } of file.assertionResults) {
      if (status === 'failed') failures.push(`${name}: ${file.name}: ${fullName}\n${failureMessages.join('\n')}`);
    }
  }
  const skipped = numPendingTests + numTodoTests;
  let failed = numFailedTests + broken + skipped;
  if (status !== 0 && failed === 0) failed = 1;
  const note = [
    broken > 0 ? `${broken} of the files could not be run` : '',
    skipped > 0 ? `${skipped} skipped, counted as failed` : '',
    status !== 0 && numFailedTests + broken + skipped === 0 ? `the runner ended with status ${status}` : '',
    numPassedTests + failed === 0 ? 'no tests' : '',
  ].filter(Boolean);
  counts.push({ name, passed: numPassedTests, failed, note: note.join('; ') });
}

/** The first driver that gives Node an adapter. */
function workingGpu() {
  return gpuChoices().find(
    ({ node, env }) => spawnSync(node, [join(root, 'tools/probe-gpu.mjs')], { env, stdio: 'ignore' }).status === 0,
  );
}

/** @param {string} name */
function runGpuRing(name) {
  const gpu = workingGpu();
  if (gpu) runRing(name, gpu);
  else failWhole(name, NO_ADAPTER_SENTENCE);
}

function runAppRing() {
  if (!findChromium()) {
    failWhole(
      'app',
      'no Chrome or Chromium was found: install one (on Debian: apt-get install chromium), or set CHROME_PATH.',
    );
  } else if (
    run(process.execPath, [join(root, 'node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'warn']) !== 0
  ) {
    failWhole('app', 'the page could not be built.');
  } else {
    runRing('app');
  }
}

function runInteropRing() {
  try {
    preparePython();
  } catch (error) {
    failWhole('interop', error instanceof Error ? error.message : String(error));
    return;
  }
  runGpuRing('interop');
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !RINGS.includes(name));
if (unknown.length > 0) {
  console.error(`There is no ring called ${unknown.join(', ')}: choose from ${RINGS.join(', ')}.`);
  process.exit(1);
}
const rings = wanted.length > 0 ? RINGS.filter((name) => wanted.includes(name)) : RINGS;
mkdirSync(results, { recursive: true });

// Chromium also brings the software adapter of the gpu ring, so it comes first.
if (rings.some((name) => name !== 'unit') && !findChromium() && !aptInstall(['chromium'])) {
  console.error(
    'No Chrome or Chromium was found: install one (on Debian: apt-get install chromium), or set CHROME_PATH.',
  );
}
for (const name of rings) {
  if (name === 'unit') runRing(name);
  else if (name === 'gpu') runGpuRing(name);
  else if (name === 'app') runAppRing();
  else runInteropRing();
}

for (const failure of failures) {
  const lines = failure.replaceAll(`${root}/`, '').split('\n');
  console.log(`\nFAILED ${lines.slice(0, 12).join('\n  ').slice(0, 1500)}`);
}
console.log('');
for (const { name, passed, failed, note } of counts) {
  console.log(`${name.padEnd(8)} ${passed} passed, ${failed} failed${note ? ` (${note})` : ''}`);
}
const passed = counts.reduce((sum, ring) => sum + ring.passed, 0);
const failed = counts.reduce((sum, ring) => sum + ring.failed, 0);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
