// For npm run test:seeds: a line for each test with the seeds it ran under, and each failure with its seed.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** @typedef {{ ran: number, failures: { seed: number, message: string }[] }} Seeds */
/** @typedef {{ file: string, name: string, ran: number, failed: number, seconds: number }} Row */

export default class SeedsReporter {
  /** @type {Row[]} */
  #rows = [];

  /** @param {import('vitest/node').TestModule} module */
  onTestModuleStart(module) {
    console.log(`\n${module.relativeModuleId}`);
  }

  /** @param {import('vitest/node').TestCase} test */
  onTestCaseResult(test) {
    const result = test.result();
    if (result.state === 'skipped') return;
    const told = /** @type {Seeds | undefined} */ (/** @type {Record<string, unknown>} */ (test.meta())['seeds']);
    // Without a count the test broke outside of its seeds.
    const failures = told?.failures ?? (result.errors ?? []).map(({ message }) => ({ seed: NaN, message }));
    const seconds = (test.diagnostic()?.duration ?? 0) / 1000;
    const row = { ran: told?.ran ?? 0, failed: failures.length, seconds };
    this.#rows.push({ file: test.module.relativeModuleId, name: test.fullName, ...row });
    console.log(
      `${told ? told.ran : 'no'} seeds, ${failures.length} failed, ${seconds.toFixed(1)} s  ${test.fullName}`,
    );
    for (const { seed, message } of failures) console.log(`  FAILED ATHANOR_SEED=${seed}: ${message.slice(0, 600)}`);
  }

  /** @param {readonly import('vitest/node').TestModule[]} modules @param {readonly { message: string }[]} errors */
  onTestRunEnd(modules, errors) {
    for (const module of modules) {
      for (const { message } of module.errors())
        errors = [...errors, { message: `${module.relativeModuleId}: ${message}` }];
    }
    for (const { message } of errors) {
      console.log(`FAILED ${message}`);
      this.#rows.push({ file: '', name: message.split('\n')[0] ?? '', ran: 0, failed: 1, seconds: 0 });
    }
    const path = process.env['ATHANOR_SEEDS_REPORT'];
    if (path === undefined) return;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, JSON.stringify(this.#rows));
  }
}
