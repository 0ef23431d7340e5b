/** The engine in a terminal; see the commands below. Argument parsing, files and printing only. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { UserError } from '../common/errors.ts';
import { TASKS } from '../common/task.ts';
import { Device } from '../engine/device.ts';
import { writeSafetensors } from '../models/files/safetensors.ts';
import { kindOf, taskOfFolder } from '../tasks/kinds.ts';
import { NodeFolder, folderOf, writeOut } from './files.ts';
import { openNodeGpu } from './gpu.ts';
import { importInto } from './import.ts';
import { readJob } from './job.ts';
import type { HeadlessModel } from './kind.ts';
import { HEADLESS_KINDS } from './kinds.ts';
import { HeadlessTask, readAdapter } from './task.ts';

const USAGE = `usage:
  headless train JOB.json --out DIR [--gradients FILE.safetensors]
  headless generate JOB.json --out DIR
  headless run MODEL_FOLDER --component NAME --in FILE.safetensors --out FILE.safetensors [--adapter FOLDER_OR_FILE]
               [--precision P] [--options JSON]
  headless plan JOB.json
  headless import --task voice|look|sound FILE... --out DIR`;

const print = (value: unknown): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);

function need(value: string | undefined, what: string): string {
  if (value === undefined) throw new UserError(`${what} is missing.\n${USAGE}`);
  return value;
}

async function openDevice(): Promise<Device> {
  const gpu = await openNodeGpu();
  const family = process.env['ATHANOR_KERNEL_FAMILY'];
  return Device.open(gpu, family === 'cpu' || family === 'gpu' ? { family } : {});
}

async function train(path: string, out: string, gradients: string | undefined): Promise<void> {
  const job = readJob(path);
  const device = await openDevice();
  const task = await HeadlessTask.open(job, device);
  mkdirSync(out, { recursive: true });
  const metrics = join(out, 'metrics.jsonl');
  writeFileSync(metrics, '');
  let wroteGradients = gradients === undefined;
  const events = await task.train(wroteGradients ? 0 : 1);
  device.resetPeak();
  const start = performance.now();
  const seconds: number[] = [];
  let firstStepSeconds = 0;
  let planned = 0;
  let dispatches = 0;
  for await (const event of events) {
    if (event.type === 'ready') {
      planned = event.plan.totalBytes;
      dispatches = event.plan.dispatchesPerStep;
    } else if (event.type === 'step') {
      if (event.step === 1) firstStepSeconds = (performance.now() - start) / 1000;
      const line = {
        step: event.step,
        loss: event.loss,
        grad_norm: event.gradNorm,
        learning_rate: event.learningRate,
        seconds: event.seconds,
      };
      seconds.push(event.seconds);
      appendFileSync(metrics, `${JSON.stringify(line)}\n`);
      print(line);
      if (!wroteGradients) {
        wroteGradients = true;
        writeFileSync(gradients!, writeSafetensors(await task.gradients(), { format: 'pt' }));
      }
    } else if (event.type === 'evaluation') print({ step: event.step, eval_loss: event.loss });
    else if (event.type === 'done') print({ done: event.reason, step: event.step });
  }
  writeOut(join(out, 'adapter'), await task.adapterFiles());
  const steady = seconds.slice(2).sort((a, b) => a - b);
  const info = device.info;
  const summary = {
    planned_bytes: planned,
    peak_bytes: device.peakBytes,
    dispatches_per_step: dispatches,
    first_step_seconds: firstStepSeconds,
    median_step_seconds: steady.length > 0 ? steady[steady.length >> 1] : null,
    adapter_info: { vendor: info.vendor, architecture: info.architecture, description: info.description },
    versions: { athanor: readVersion(), node: process.versions.node },
  };
  writeFileSync(join(out, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
  print(summary);
}

function readVersion(): string {
  const file = resolve(process.env['npm_package_json'] ?? 'package.json');
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  } catch {
    return 'unknown';
  }
}

async function generate(path: string, out: string): Promise<void> {
  const job = readJob(path);
  const task = await HeadlessTask.open(job, await openDevice());
  const { files, printed } = await task.generate();
  writeOut(out, files);
  print(printed);
}

interface RunArguments {
  component: string;
  in: string;
  out: string;
  adapter: string | undefined;
  precision: string | undefined;
  options: string | undefined;
}

async function run(path: string, { component, adapter, precision, options, ...files }: RunArguments): Promise<void> {
  const folder = new NodeFolder(path);
  const device = await openDevice();
  const input = folderOf(files.in);
  const settings = precision === undefined ? {} : { precision };
  const task = await taskOfFolder(folder);
  const model = (await (await kindOf(task)).load(device, folder, settings)) as HeadlessModel;
  if (adapter !== undefined) await model.useAdapter(await readAdapter(task, adapter, model));
  const given = jsonObject(options, '--options');
  const outputs = await HEADLESS_KINDS[task].runComponent(model, component, input.folder, input.file, given);
  writeFileSync(files.out, writeSafetensors(outputs));
  print({ outputs: outputs.map(({ name, shape }) => ({ name, shape })) });
}

function jsonObject(text: string | undefined, what: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text ?? '{}') as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // The sentence below says it.
  }
  throw new UserError(`${what} must be a JSON object.`);
}

async function plan(path: string): Promise<void> {
  const job = readJob(path);
  const task = await HeadlessTask.open(job, await openDevice());
  print(await task.plan());
}

async function importData(name: string, files: string[], out: string): Promise<void> {
  if (files.length === 0) throw new UserError(`No files to import.\n${USAGE}`);
  const task = TASKS.find((known) => known === name);
  if (!task) throw new UserError(`Importing for the task “${name}” is not supported. Supported: ${TASKS.join(', ')}.`);
  print(await importInto(task, files, out));
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      gradients: { type: 'string' },
      component: { type: 'string' },
      in: { type: 'string' },
      adapter: { type: 'string' },
      precision: { type: 'string' },
      options: { type: 'string' },
      task: { type: 'string' },
      persona: { type: 'string' },
    },
  });
  const [command, ...rest] = positionals;
  const { out, gradients } = values;
  if (values.persona !== undefined)
    throw new UserError(
      '--persona chooses whose lines are learnt from a chat export, and chat exports are not read yet. Leave it out.',
    );
  if (command === 'train') return train(need(rest[0], 'JOB.json'), need(out, '--out'), gradients);
  if (command === 'generate') return generate(need(rest[0], 'JOB.json'), need(out, '--out'));
  if (command === 'run') {
    const { adapter, precision, options } = values;
    const component = need(values.component, '--component');
    const input = need(values.in, '--in');
    return run(need(rest[0], 'MODEL_FOLDER'), {
      component,
      in: input,
      out: need(out, '--out'),
      adapter,
      precision,
      options,
    });
  }
  if (command === 'plan') return plan(need(rest[0], 'JOB.json'));
  if (command === 'import') return importData(need(values.task, '--task'), rest, need(out, '--out'));
  throw new UserError(command === undefined ? USAGE : `There is no command “${command}”.\n${USAGE}`);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const known = error instanceof UserError || (error instanceof TypeError && 'code' in error);
    process.stderr.write(
      `${known || process.env['ATHANOR_DEBUG'] === undefined ? (error as Error).message : (error as Error).stack}\n`,
    );
    process.exit(1);
  },
);
