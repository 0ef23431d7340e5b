import type { LoraConfig } from '../../adapters/lora-config.ts';
import { writeDiffusersLora, DIFFUSERS_FILE } from '../../adapters/diffusers-lora.ts';
import { initLora } from '../../adapters/init.ts';
import { writeKohyaLora } from '../../adapters/kohya-lora.ts';
import type { KohyaOptions } from '../../adapters/kohya-lora.ts';
import type { LookFacts } from '../../adapters/kohya-metadata.ts';
import type { Adapter } from '../../adapters/peft.ts';
import type { Device } from '../../engine/device.ts';
import { UserError } from '../../common/errors.ts';
import { SharedArenas } from '../../engine/shared-arenas.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { RunState } from '../../training/checkpoint.ts';
import { decodeRunState } from '../../training/checkpoint.ts';
import type { PlanReport } from '../../training/plan-report.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { RunData } from '../../training/training-loop.ts';
import { TrainingLoop } from '../../training/training-loop.ts';
import type { SeededRunRequest } from '../../training/run-plan.ts';
import { planTuned } from '../../training/run-plan.ts';
import type { ExampleShape } from '../../models/diffusion/denoiser.ts';
import { AdaptedModel } from '../adapted-model.ts';
import { programName } from '../denoising/batch.ts';
import type { Examples } from '../denoising/run-data.ts';
import { batchesPerEpoch, exampleRunData } from '../denoising/run-data.ts';
import { LookBase } from './base.ts';
import type { LoadLookOptions } from './base.ts';
import { drawClassPictures } from './class-pictures.ts';
import type { Picture } from './image-pipeline.ts';
import { ImagePipeline, withDefaults } from './image-pipeline.ts';
import { LookCodec } from './encoders.ts';
import { makeLookExamples, sizedPictures } from './examples.ts';
import type { SizedPicture } from './examples.ts';
import { encodingPlans, planLook, trainingComponents } from './plan.ts';
import type { PreparedRows } from './prepared.ts';
import { preparedRunData } from './prepared.ts';
import type { DrawEvent, DrawRequest, LookInfo, LookTrainingEvent, PictureSource, PrepareEvent } from './types.ts';

/** What is learnt from: pictures of a data set, or the rows of a prepared batch file. */
export type LookLearningData = { pictures: readonly PictureSource[] } | { prepared: PreparedRows };

export type LookTrainOptions = LookLearningData & SeededRunRequest;

/** What the files of an adapter say about it. */
export interface LookExport {
  name: string;
  triggerWord: string;
  baseName: string;
  /** A PNG shown beside the file. */
  preview?: Uint8Array<ArrayBuffer>;
}

/** An image model on the device: it draws, is trained, and gives its adapter away. One thing at a time. */
export class LookModel extends AdaptedModel {
  readonly base: LookBase;
  #drawer: ImagePipeline | undefined;

  private constructor(base: LookBase) {
    super(base);
    this.base = base;
  }

  /** Throws UserError where the folder is no supported model, is damaged, or does not fit the device. */
  static async load(device: Device, folder: ModelFolder, options: LoadLookOptions = {}): Promise<LookModel> {
    return new LookModel(await LookBase.load(device, folder, options));
  }

  get info(): LookInfo {
    return this.base.info;
  }

  /** What kohya's names depend on beside the family. */
  get kohyaOptions(): KohyaOptions {
    return this.base.kohyaOptions;
  }

  /** Pixels a side at which a recipe trains. */
  resolution(recipe: Pick<Recipe, 'resolution'>): number {
    return recipe.resolution === 0 ? this.base.info.resolution : recipe.resolution;
  }

  /** Tokens of a text with start and end. */
  async countTokens(text: string): Promise<number> {
    return this.base.conditioner.countTokens(text);
  }

  protected override dropPrograms(): void {
    this.#drawer?.destroy();
    this.#drawer = undefined;
  }

  #draws(): ImagePipeline {
    return (this.#drawer ??= new ImagePipeline(this.base, this.adapter));
  }

  /** A request with everything that it leaves open decided. */
  settledRequest(request: Omit<DrawRequest, 'signal' | 'latents'>): Required<Omit<DrawRequest, 'signal' | 'latents'>> {
    return withDefaults(this.base, request);
  }

  /** Draws pictures one after the other. The adapter, where there is one, is applied at `strength` (default 1). */
  async *draw(request: DrawRequest): AsyncGenerator<DrawEvent> {
    yield* this.#draws().draw(request);
  }

  #sized(pictures: readonly PictureSource[], recipe: Recipe): SizedPicture[] {
    return sizedPictures(pictures, this.resolution(recipe), this.base.smallestSide);
  }

  /** The adapter that a run begins with. */
  #start({ from, adapter: config, recipe }: LookTrainOptions, resume: RunState | undefined): Adapter {
    if (resume) return this.adapter.ofState(resume);
    if (from) return from;
    if (config.use_dora)
      throw new UserError(
        'DoRA is not offered for looks: the drawing programs read it each in their own way. Turn it off.',
      );
    return { config, tensors: initLora(this.base.targets(config, recipe), config, recipe.seed) };
  }

  /** Shapes of a run's batches, before anything is encoded. */
  #shapes(data: LookLearningData, recipe: Recipe): ExampleShape[] {
    if ('prepared' in data) return [data.prepared.shape];
    const { resolution } = this.base.model;
    const sizes: (readonly [number, number])[] = this.#sized(data.pictures, recipe).map(({ row }) => row.bucket);
    if (recipe.with_prior_preservation) sizes.push([resolution, resolution]);
    const shapes = sizes.map(([width, height]) => this.base.shapeOf({ height, width }));
    return [...new Map(shapes.map((shape) => [programName(shape), shape])).values()];
  }

  /** What a run would take, without allocating anything. */
  plan(
    options: LookLearningData & {
      recipe: Recipe;
      adapter: LoraConfig;
      samplePrompts?: string[];
      memoryBudget?: number;
    },
  ): PlanReport {
    const { recipe, adapter, memoryBudget, samplePrompts = [] } = options;
    const layout = this.base.layout(this.base.targets(adapter, recipe), adapter, true);
    const count =
      'prepared' in options
        ? options.prepared.rows.length / recipe.per_device_train_batch_size
        : (options.pictures.reduce((sum, { row }) => sum + row.repeats, 0) / recipe.per_device_train_batch_size) *
          (recipe.with_prior_preservation ? 2 : 1);
    return planLook(this.base, layout, recipe, {
      shapes: this.#shapes(options, recipe),
      batchesPerEpoch: Math.ceil(count),
      encodes: 'pictures' in options,
      evaluates: 'pictures' in options && recipe.eval_share > 0 && options.pictures.length > 1,
      samples: samplePrompts.length > 0 && recipe.sample_steps > 0,
      budget: memoryBudget,
    }).report;
  }

  /** Trains; ending the iteration early keeps what was learnt so far. */
  async *train(options: LookTrainOptions): AsyncGenerator<LookTrainingEvent> {
    const { recipe, signal, pause, awaitEachStepUntil, samplePrompts = [], sampleSeed = 0 } = options;
    const { device } = this.base;
    const resume = options.resume && (await decodeRunState(options.resume));
    const start = this.#start(options, resume);
    const samples = recipe.sample_steps > 0 ? samplePrompts : [];
    const shapes = this.#shapes(options, recipe);
    const { denoiser, process } = this.base;
    const conditioner = this.base.conditionerOf([...start.tensors.keys()]);
    const context = { denoiser, process, conditioner };
    this.adapter.drop();
    device.resetPeak();
    let data: RunData;
    let perEpoch: number;
    if ('pictures' in options) {
      const examples = yield* this.#encoded(options.pictures, shapes, recipe, signal);
      data = exampleRunData(examples, { context, recipe });
      perEpoch = batchesPerEpoch(examples, recipe);
    } else {
      data = preparedRunData(context, options.prepared, recipe);
      perEpoch = Math.max(1, Math.ceil(data.count / recipe.per_device_train_batch_size));
    }
    const held = trainingComponents(samples.length > 0, conditioner !== undefined);
    await this.base.keepOnly(held);
    const { layout, buffers } = await this.adapter.activate(start, true);
    const planned = () =>
      planLook(this.base, layout, recipe, {
        shapes,
        batchesPerEpoch: perEpoch,
        encodes: 'pictures' in options,
        evaluates: data.heldOut.length > 0,
        samples: samples.length > 0,
        budget: options.memoryBudget,
      });
    const plan = await planTuned(device, options.tune, planned);
    const drawer = new ImagePipeline(this.base, this.adapter, plan.arenas);
    const run = new TrainingLoop<{ prompt: string; seed: number; base: Picture; tuned: Picture }>({
      device,
      weights: this.base,
      layout,
      adapter: buffers,
      plan,
      recipe,
      lora: start.config,
      data,
      resume,
      signal,
      pause,
      awaitEachStepUntil,
      sample: samples.length > 0 ? () => drawer.samples(samples, recipe, sampleSeed) : undefined,
    });
    try {
      yield* run.events();
    } finally {
      drawer.destroy();
    }
  }

  /** Latents and text states of pictures, and of class pictures that are drawn first where they are wanted. */
  async *#encoded(
    pictures: readonly PictureSource[],
    shapes: readonly ExampleShape[],
    recipe: Recipe,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<PrepareEvent, Examples> {
    const { base } = this;
    await base.load('vae', 'text_encoder');
    const priors: PictureSource[] = [];
    if (recipe.with_prior_preservation) {
      priors.push(...(yield* drawClassPictures(this.#draws(), base, recipe, signal)));
      this.dropPrograms();
    }
    const sized = this.#sized(pictures, recipe);
    const sizedPriors = this.#sized(priors, { ...recipe, resolution: base.info.resolution });
    const arenas = new SharedArenas(encodingPlans(base, shapes));
    const codec = new LookCodec(base, arenas);
    try {
      return yield* makeLookExamples(sized, sizedPriors, recipe, codec, { cache: base.cache, signal });
    } finally {
      codec.release();
      arenas.destroy();
    }
  }

  /** The files that other tools load, by name: kohya's and diffusers'. */
  async exportFiles(
    checkpoint: Uint8Array<ArrayBuffer>,
    { name, triggerWord, baseName, preview }: LookExport,
  ): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    const state = await decodeRunState(checkpoint);
    const adapter = this.adapter.ofState(state);
    if (adapter.config.use_dora)
      throw new UserError(
        'An adapter trained with DoRA has no file that the drawing programs read alike. Train it without.',
      );
    const facts: LookFacts = {
      name,
      base: { name: baseName },
      predictionType: this.base.process.predictionType,
      resolution: this.resolution(state.recipe),
      triggerPhrase: triggerWord,
      ...(preview && { preview: { type: 'image/png' as const, bytes: preview } }),
    };
    return new Map([
      ['kohya.safetensors', await writeKohyaLora(adapter, this.info.family, { ...this.kohyaOptions, facts })],
      [DIFFUSERS_FILE, writeDiffusersLora(adapter)],
    ]);
  }

  destroy(): void {
    this.adapter.drop();
    this.base.destroy();
  }
}
