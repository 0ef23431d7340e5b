import { existsSync, statSync } from 'node:fs';
import type { Adapter } from '../adapters/peft.ts';
import { UserError } from '../common/errors.ts';
import type { Task } from '../common/task.ts';
import type { Device } from '../engine/device.ts';
import type { TensorData } from '../models/files/safetensors.ts';
import type { PlanReport } from '../training/plan-report.ts';
import type { TaskEvent, TaskModel } from '../tasks/task-model.ts';
import { kindOf } from '../tasks/kinds.ts';
import { NodeFolder, folderOf } from './files.ts';
import type { Job } from './job.ts';
import type { Files, HeadlessModel } from './kind.ts';
import { HEADLESS_KINDS } from './kinds.ts';

/** An adapter from a folder, or from a file where the kind has such. */
export async function readAdapter(task: Task, path: string, model: TaskModel): Promise<Adapter> {
  const kind = await kindOf(task);
  if (existsSync(path) && statSync(path).isDirectory()) return kind.readAdapter(new NodeFolder(path), undefined, model);
  const { folder, file } = folderOf(path);
  return kind.readAdapter(folder, file, model);
}

/** A job with its base on the device. */
export class HeadlessTask {
  readonly #job: Job;
  readonly #model: HeadlessModel;
  /** The adapter that a run goes on from, and that generates. */
  readonly #from: Adapter | undefined;

  private constructor(job: Job, model: HeadlessModel, from: Adapter | undefined) {
    this.#job = job;
    this.#model = model;
    this.#from = from;
  }

  static async open(job: Job, device: Device): Promise<HeadlessTask> {
    const folder = new NodeFolder(job.base);
    const model = (await (await kindOf(job.task)).load(device, folder, { precision: job.precision })) as HeadlessModel;
    return new HeadlessTask(
      job,
      model,
      job.from === undefined ? undefined : await readAdapter(job.task, job.from, model),
    );
  }

  get #kind() {
    return HEADLESS_KINDS[this.#job.task];
  }

  async #data(): Promise<object> {
    const { data } = this.#job;
    if (data === undefined) throw new UserError('The job names no data.');
    if (!data.endsWith('.safetensors')) return this.#kind.imported(this.#model, data, this.#job);
    const { folder, file } = folderOf(data);
    return this.#kind.prepared(this.#model, folder, file, this.#job);
  }

  /** @param awaitEachStepUntil up to this step each ends before the next begins, so that its gradients can be read */
  async train(awaitEachStepUntil: number): Promise<AsyncGenerator<TaskEvent>> {
    const { recipe, lora: adapter } = this.#job;
    const from = this.#from;
    return this.#model.train({ ...(await this.#data()), recipe, adapter, awaitEachStepUntil, ...(from && { from }) });
  }

  /** Gradient of every adapter tensor of the last step, under the adapter file's names. */
  async gradients(): Promise<TensorData[]> {
    return [...(await this.#model.currentGradients())].flatMap(([name, tensors]) => this.#kind.named(name, tensors));
  }

  /** The trained adapter's files, by name. */
  adapterFiles(): Promise<Files> {
    return this.#kind.adapterFiles(this.#model, this.#job);
  }

  async plan(): Promise<PlanReport> {
    const { recipe, lora } = this.#job;
    return this.#model.plan({ ...(await this.#data()), recipe, adapter: this.#from?.config ?? lora });
  }

  /** Generates as the job says: the files, and what is printed. */
  async generate(): Promise<{ files: Files; printed: unknown }> {
    await this.#model.useAdapter(this.#from ?? null);
    return this.#kind.generate(this.#model, this.#job);
  }
}
