import { installCounters, readBytes, readCounts } from './counters.ts';
import { createJaxOp } from './ops-jax.ts';
import { createOurOp } from './ops-ours.ts';
import { parseCase } from './ops-work.ts';
import type { CreateOp, Direction, OpSide, Values } from './ops-work.ts';

installCounters();

const SIDES: Record<string, CreateOp> = { ours: createOurOp, jax: createJaxOp };

export interface OpSettings {
  work: string;
  direction: Direction;
  /** Runs of each side after the first. */
  runs: number;
  sides: string[];
}

export interface OpResult {
  side: string;
  firstSeconds: number;
  seconds: number[];
  /** Processor time of the graphics process in those, all threads together; empty where it is not known. */
  processor: number[];
  dispatches: number;
  /** Most bytes of the device's buffers, operands included. */
  peakBytes: number;
  cost: { flops: number; bytes: number } | null;
  /** Why there are no figures. */
  failure: string | null;
}

/** What a device refuses says so only there. */
const refusals: string[] = [];
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (...given) {
  const device = await requestDevice.apply(this, given);
  device.addEventListener('uncapturederror', (event) => refusals.push(event.error.message.split('\n')[0] ?? ''));
  return device;
};

async function timed(side: OpSide, result: OpResult): Promise<number> {
  const before = readCounts().dispatches;
  const start = performance.now();
  await side.run();
  const seconds = (performance.now() - start) / 1000;
  result.dispatches = readCounts().dispatches - before;
  result.peakBytes = readBytes(side.device).peak;
  if (refusals.length > 0) throw new Error(refusals[0]);
  return seconds;
}

/** ‖a - b‖ / ‖a‖ */
function apart(a: Values, b: Values): number {
  if (a.length !== b.length) throw new Error(`${a.length} numbers beside ${b.length}`);
  let [difference, size] = [0, 0];
  a.forEach((value, i) => {
    difference += (value - b[i]!) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(difference / size);
}

/** First run of each side, then `runs` of each, taking turns; and how far their results are apart, in norm. */
async function run({
  work,
  direction,
  runs,
  sides,
}: OpSettings): Promise<{ results: OpResult[]; apart: number | null }> {
  const running: { side: OpSide; result: OpResult }[] = [];
  const results: OpResult[] = [];
  for (const name of sides) {
    const create = SIDES[name];
    if (!create) throw new Error(`There is no side ${name}: choose from ${Object.keys(SIDES).join(', ')}.`);
    const result: OpResult = {
      ...{
        side: name,
        firstSeconds: 0,
        seconds: [],
        processor: [],
        dispatches: 0,
        peakBytes: 0,
        cost: null,
        failure: null,
      },
    };
    results.push(result);
    refusals.length = 0;
    try {
      const side = await create(parseCase(work), direction);
      result.cost = side.cost ?? null;
      result.firstSeconds = await timed(side, result);
      running.push({ side, result });
    } catch (error) {
      result.failure = (error as Error).message;
    }
  }
  for (let i = 0; i < runs; i++) {
    for (const { side, result } of running.filter((each) => each.result.failure === null)) {
      const before = await window.athanorGraphicsSeconds();
      try {
        result.seconds.push(await timed(side, result));
      } catch (error) {
        result.failure = (error as Error).message;
        continue;
      }
      const after = await window.athanorGraphicsSeconds();
      if (before !== null && after !== null) result.processor.push(after - before);
    }
  }
  const [first, second] = running.filter(({ result }) => result.failure === null);
  const difference = first && second ? apart(await first.side.result(), await second.side.result()) : null;
  for (const { side } of running) side.destroy();
  return { results, apart: difference };
}

declare global {
  interface Window {
    athanorOps: typeof run;
    athanorGraphicsSeconds: () => Promise<number | null>;
  }
}
window.athanorOps = run;
document.title = 'ready';
