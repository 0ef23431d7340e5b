/** The engine in a terminal; see the commands below. Argument parsing, files and printing only. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { peftTensorName, readPeftFolder } from '../adapters/peft.ts';
import { importFiles } from '../datasets/import/import.ts';
import { rowsToJsonl } from '../datasets/rows.ts';
import { Device } from '../engine/device.ts';
import { UserError } from '../engine/errors.ts';
import { writeSafetensors } from '../models/files/safetensors.ts';
import { VoiceModel } from '../tasks/voice/voice.ts';
import { runComponent } from '../tasks/voice/component.ts';
import { NodeFolder, folderOf, sourceFiles, writeOut } from './files.ts';
import { openNodeGpu } from './gpu.ts';
import { generateRequest, learningData, readJob, startingAdapter } from './job.ts';

const USAGE = `usage:
  headless train JOB.json --out DIR [--gradients FILE.safetensors]
  headless generate JOB.json --out DIR
  headless run MODEL_FOLDER --component model --in FILE.safetensors --out FILE.safetensors [--adapter FOLDER] [--precision P]
  headless plan JOB.json
  headless import --task voice FILE... --out DIR`;

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
  const model = await VoiceModel.load(device, new NodeFolder(job.base), { precision: job.precision });
  const from = await startingAdapter(job);
  const data = await learningData(job, model);
  mkdirSync(out, { recursive: true });
  const metrics = join(out, 'metrics.jsonl');
  writeFileSync(metrics, '');
  device.resetPeak();
  const start = performance.now();
  const seconds: number[] = [];
  let firstStepSeconds = 0;
  let planned = 0;
  let dispatches = 0;
  let wroteGradients = gradients === undefined;
  const settle = wroteGradients ? 0 : 1;
  for await (const event of model.train({
    ...data,
    recipe: job.recipe,
    adapter: job.lora,
    settle,
    ...(from && { from }),
  })) {
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
        const tensors = [...(await model.currentGradients())].flatMap(
          ([module, { A, B, magnitude, r, inFeatures, outFeatures }]) => [
            { name: peftTensorName(module, 'A'), dtype: 'F32' as const, shape: [r, inFeatures], data: A },
            { name: peftTensorName(module, 'B'), dtype: 'F32' as const, shape: [outFeatures, r], data: B },
            ...(magnitude
              ? [
                  {
                    name: peftTensorName(module, 'magnitude'),
                    dtype: 'F32' as const,
                    shape: [outFeatures],
                    data: magnitude,
                  },
                ]
              : []),
          ],
        );
        writeFileSync(gradients!, writeSafetensors(tensors, { format: 'pt' }));
      }
    } else if (event.type === 'evaluation') print({ step: event.step, eval_loss: event.loss });
    else if (event.type === 'done') print({ done: event.reason, step: event.step });
  }
  writeOut(join(out, 'adapter'), await model.exportAdapter(job.base));
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
  const device = await openDevice();
  const model = await VoiceModel.load(device, new NodeFolder(job.base), { precision: job.precision });
  await model.useAdapter((await startingAdapter(job)) ?? null);
  const request = generateRequest(job.generate);
  let text = '';
  const tokenIds: number[] = [];
  for await (const chunk of model.generate(request)) {
    text += chunk.text;
    tokenIds.push(...chunk.tokenIds);
  }
  const result = { text, token_ids: tokenIds, ...request };
  writeOut(out, [['generated.json', `${JSON.stringify(result, null, 2)}\n`]]);
  print(result);
}

async function run(
  folder: string,
  options: Record<'component' | 'in' | 'out' | 'adapter' | 'precision', string | undefined>,
): Promise<void> {
  const device = await openDevice();
  const precision = options.precision;
  const model = await VoiceModel.load(device, new NodeFolder(folder), {
    ...(precision !== undefined && { precision }),
  });
  if (options.adapter !== undefined) await model.useAdapter(await readPeftFolder(new NodeFolder(options.adapter)));
  const input = folderOf(need(options.in, '--in'));
  const outputs = await runComponent(model, need(options.component, '--component'), input.folder, input.file);
  writeFileSync(need(options.out, '--out'), writeSafetensors(outputs));
  print({ outputs: outputs.map(({ name, shape }) => ({ name, shape })) });
}

async function plan(path: string): Promise<void> {
  const job = readJob(path);
  const device = await openDevice();
  const model = await VoiceModel.load(device, new NodeFolder(job.base), { precision: job.precision });
  const from = await startingAdapter(job);
  print(model.plan({ ...(await learningData(job, model)), recipe: job.recipe, adapter: from?.config ?? job.lora }));
}

async function importData(task: string, files: string[], out: string): Promise<void> {
  if (task !== 'voice') throw new UserError(`Importing for the task “${task}” is not supported yet.`);
  if (files.length === 0) throw new UserError(`No files to import.\n${USAGE}`);
  const { rows, report } = await importFiles(files.flatMap(sourceFiles));
  writeOut(out, [
    ['report.json', `${JSON.stringify(report, null, 2)}\n`],
    ['rows.jsonl', rowsToJsonl(rows)],
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
    const { component, in: input, adapter, precision } = values;
    return run(need(rest[0], 'MODEL_FOLDER'), { component, in: input, out, adapter, precision });
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
