/** The engine in a terminal; see the commands below. Argument parsing, files and printing only. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readPeftFolder } from '../adapters/peft.ts';
import { importFiles } from '../datasets/voice/import/import.ts';
import { importPictures, pictureToLine } from '../datasets/look/import-pictures.ts';
import { rowsToJsonl } from '../datasets/voice/rows.ts';
import { Device } from '../engine/device.ts';
import { UserError } from '../common/errors.ts';
import { readJson } from '../models/files/folder.ts';
import { isJsonObject } from '../common/json.ts';
import { writeSafetensors } from '../models/files/safetensors.ts';
import type { TensorData } from '../models/files/safetensors.ts';
import { runComponent as runLookComponent } from '../tasks/look/component.ts';
import { LookModel } from '../tasks/look/model.ts';
import { runComponent as runSoundComponent } from '../tasks/sound/component.ts';
import { SoundModel } from '../tasks/sound/model.ts';
import { runComponent as runVoiceComponent } from '../tasks/voice/component.ts';
import { VoiceModel } from '../tasks/voice/model.ts';
import { NodeFolder, folderOf, sourceFiles, writeOut } from './files.ts';
import { openNodeGpu } from './gpu.ts';
import type { Job } from './job.ts';
import { readJob } from './job.ts';
import { openLook, readAdapter } from './look-task.ts';
import { nodePictureDecoder, pictureSourceFiles } from './pictures.ts';
import { importSoundFiles } from './sounds.ts';
import type { HeadlessTask } from './task.ts';
import { openSound, readSoundAdapter } from './sound-task.ts';
import { openVoice } from './voice-task.ts';

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

const OPENERS = { voice: openVoice, look: openLook, sound: openSound };

const openTask = (job: Job, device: Device): Promise<HeadlessTask> => OPENERS[job.task](job, device);

async function train(path: string, out: string, gradients: string | undefined): Promise<void> {
  const job = readJob(path);
  const device = await openDevice();
  const task = await openTask(job, device);
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
  const task = await openTask(job, await openDevice());
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
  let outputs: TensorData[];
  if (await isSoundFolder(folder)) {
    const model = await SoundModel.load(device, folder, settings);
    if (adapter !== undefined) await model.useAdapter(await readSoundAdapter(adapter));
    outputs = await runSoundComponent(model, component, input.folder, input.file);
  } else if (isVoiceFolder(folder)) {
    const model = await VoiceModel.load(device, folder, settings);
    if (adapter !== undefined) await model.useAdapter(await readPeftFolder(new NodeFolder(adapter)));
    outputs = await runVoiceComponent(model, component, input.folder, input.file);
  } else {
    const model = await LookModel.load(device, folder, settings);
    if (adapter !== undefined) await model.useAdapter(await readAdapter(adapter));
    outputs = await runLookComponent(model, component, input.folder, input.file, jsonObject(options, '--options'));
  }
  writeFileSync(files.out, writeSafetensors(outputs));
  print({ outputs: outputs.map(({ name, shape }) => ({ name, shape })) });
}

/** A music model says so in its configuration. */
async function isSoundFolder(folder: NodeFolder): Promise<boolean> {
  if (!isVoiceFolder(folder)) return false;
  const config = await readJson(folder, 'config.json');
  return isJsonObject(config) && config['model_type'] === 'musicgen';
}

/** A language model has its configuration at the top; an image model has a folder for each part, or one checkpoint. */
function isVoiceFolder({ files }: NodeFolder): boolean {
  return files.includes('config.json') && !files.includes('model_index.json') && !files.includes('unet/config.json');
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
  const task = await openTask(job, await openDevice());
  print(await task.plan());
}

async function importData(task: string, files: string[], out: string): Promise<void> {
  if (files.length === 0) throw new UserError(`No files to import.\n${USAGE}`);
  if (task === 'look') return importLook(files, out);
  if (task === 'sound') {
    print(await importSoundFiles(files, out));
    return;
  }
  if (task !== 'voice') throw new UserError(`Importing for the task “${task}” is not supported yet.`);
  const { rows, report } = await importFiles(files.flatMap(sourceFiles));
  writeOut(out, [
    ['report.json', `${JSON.stringify(report, null, 2)}\n`],
    ['rows.jsonl', rowsToJsonl(rows)],
  ]);
  print(report);
}

/** Stable Diffusion 1.5's sizes: what a look's base is where none is named. */
const IMPORT_RESOLUTION = 512;

async function importLook(files: string[], out: string): Promise<void> {
  const { rows, report } = await importPictures(pictureSourceFiles(files), nodePictureDecoder, {
    buckets: { resolution: IMPORT_RESOLUTION },
  });
  writeOut(out, [
    ['report.json', `${JSON.stringify(report, null, 2)}\n`],
    ['pictures.jsonl', rows.map((row) => `${pictureToLine(row)}\n`).join('')],
  ]);
  print(report);
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
