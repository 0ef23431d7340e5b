// A line for each finished test file, and one now and then while a file takes long: also into a pipe or a log file, where
// vitest's own summary stays silent. What failed is told in full at the end, as vitest does it.
import { DefaultReporter } from 'vitest/node';

/** Nobody should wonder for longer whether anything is going on. */
const QUIET_MS = 20_000;

/** @param {number} milliseconds */
const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;

export default class ProgressReporter extends DefaultReporter {
  #files = 0;
  #finished = 0;
  /** @type {Map<import('vitest/node').TestModule, { began: number, tests: number, done: number }>} */
  #running = new Map();
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  constructor() {
    super({ summary: false });
  }

  /** @override @param {readonly import('vitest/node').TestSpecification[]} specifications */
  onTestRunStart(specifications) {
    super.onTestRunStart(specifications);
    this.#files = specifications.length;
    this.#speakLater();
  }

  /** @override @param {import('vitest/node').TestModule} module */
  onTestModuleCollected(module) {
    super.onTestModuleCollected(module);
    const tests = [...module.children.allTests()].filter(({ options }) => options.mode === 'run').length;
    this.#running.set(module, { began: performance.now(), tests, done: 0 });
  }

  /** @override @param {import('vitest/node').TestCase} test */
  onTestCaseResult(test) {
    super.onTestCaseResult(test);
    const running = this.#running.get(test.module);
    if (running && test.result().state !== 'skipped') running.done++;
  }

  /** @override @param {import('vitest/node').TestModule} module */
  printTestModule(module) {
    const state = module.state();
    if (state === 'queued' || state === 'pending') return;
    this.#running.delete(module);
    /** @type {Record<string, number>} */
    const counts = { passed: 0, failed: 0, skipped: 0 };
    /** @type {string[]} */
    const failed = [];
    for (const test of module.children.allTests()) {
      const result = test.result().state;
      counts[result] = (counts[result] ?? 0) + 1;
      if (result === 'failed') failed.push(test.fullName);
    }
    const told = Object.entries(counts).flatMap(([name, count]) => (count > 0 ? [`${count} ${name}`] : []));
    const place = `${String(++this.#finished).padStart(String(this.#files).length)}/${this.#files}`;
    const took = seconds(module.diagnostic().duration);
    this.log(`${place}  ${module.relativeModuleId}: ${told.join(', ') || 'no tests'} in ${took}`);
    for (const name of failed) this.log(`      FAILED ${name}`);
    if (state === 'failed' && failed.length === 0) this.log('      FAILED outside of its tests');
    this.#speakLater();
  }

  /**
   * @override
   * @param {readonly import('vitest/node').TestModule[]} modules
   * @param {readonly import('vitest').SerializedError[]} errors
   * @param {import('vitest/node').TestRunEndReason} reason
   */
  onTestRunEnd(modules, errors, reason) {
    clearInterval(this.#timer);
    super.onTestRunEnd(modules, errors, reason);
  }

  #speakLater() {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => {
      for (const [module, { began, tests, done }] of this.#running) {
        this.log(`      … ${module.relativeModuleId}: ${done} of ${tests} in ${seconds(performance.now() - began)}`);
      }
    }, QUIET_MS);
    this.#timer.unref();
  }
}
