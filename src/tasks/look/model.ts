import type { LoraConfig } from '../../adapters/lora-config.ts';
import type { LoraLayout } from '../../adapters/layout.ts';
import type { LoraTarget } from '../../adapters/targets.ts';
import { initLora } from '../../adapters/init.ts';
import type { KohyaOptions } from '../../adapters/kohya-lora.ts';
import type { Adapter } from '../../adapters/peft.ts';
import type { Pixels } from '../../datasets/look/types.ts';
import type { Device } from '../../engine/device.ts';
import type { PreparedRun } from '../adapted-model.ts';
import { AdaptedModel } from '../adapted-model.ts';
import type { PlanRequest, PrepareEvent, TaskModel } from '../task-model.ts';
import { UserError } from '../../common/errors.ts';
import { SharedArenas } from '../../engine/shared-arenas.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { RunData } from '../../training/training-loop.ts';
import type { RunPlan, SeededRunRequest } from '../../training/run-plan.ts';
import { LookBase } from './base.ts';
import type { LoadLookOptions } from './base.ts';
import { drawClassPictures } from './class-pictures.ts';
import { ImagePipeline, withDefaults } from './image-pipeline.ts';
import { LookCodec } from './encoders.ts';
import { makeLookExamples, sizedPictures } from './examples.ts';
import type { SizedPicture } from './examples.ts';
import { encodingPlans, planLook, trainingComponents } from './plan.ts';
import type { LookRunFacts } from './plan.ts';
import type { PreparedRows } from './prepared.ts';
import { preparedRunData } from './prepared.ts';
import type { ExampleShape } from '../../models/diffusion/denoiser.ts';
import { programName } from '../denoising/batch.ts';
import type { Examples } from '../denoising/run-data.ts';
import { batchesPerEpoch, exampleRunData } from '../denoising/run-data.ts';
import type { DrawEvent, DrawRequest, LookInfo, PictureSource } from './types.ts';

/** What is learnt from: pictures of a data set, or the rows of a prepared batch file. */
export type LookLearningData = { pictures: readonly PictureSource[] } | { prepared: PreparedRows };

export type LookTrainOptions = LookLearningData & SeededRunRequest;

/** An image model on the device: it draws, is trained, and gives its adapter away. One thing at a time. */
export class LookModel
  extends AdaptedModel<LookBase, LookLearningData, Pixels>
  implements TaskModel<LookLearningData, DrawRequest, DrawEvent, Pixels>
{
  #drawer: ImagePipeline | undefined;

  private constructor(base: LookBase) {
    super(base);
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
  completeRequest(request: Omit<DrawRequest, 'signal' | 'latents'>): Required<Omit<DrawRequest, 'signal' | 'latents'>> {
    return withDefaults(this.base, request);
  }

  /** Draws pictures one after the other. The adapter, where there is one, is applied at `strength` (default 1). */
  async *generate(request: DrawRequest): AsyncGenerator<DrawEvent> {
    yield* this.#draws().draw(request);
  }

  #sized(pictures: readonly PictureSource[], recipe: Recipe): SizedPicture[] {
    return sizedPictures(pictures, this.resolution(recipe), this.base.smallestSide);
  }

  protected override async initialAdapter(config: LoraConfig, recipe: Recipe): Promise<Adapter> {
    if (config.use_dora)
      throw new UserError(
        'DoRA is not offered for looks: the drawing programs read it each in their own way. Turn it off.',
      );
    return { config, tensors: initLora(this.base.targets(config, recipe), config, recipe.seed) };
  }

  protected override targets(adapter: LoraConfig, recipe: Recipe): LoraTarget[] {
    return this.base.targets(adapter, recipe);
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

  #planner(
    { recipe, memoryBudget, samplePrompts = [] }: PlanRequest,
    facts: Omit<LookRunFacts, 'samples' | 'budget'>,
  ): (layout: LoraLayout) => RunPlan {
    const samples = samplePrompts.length > 0 && recipe.sample_steps > 0;
    return (layout) => planLook(this.base, layout, recipe, { ...facts, samples, budget: memoryBudget });
  }

  protected override async planOf(options: LookLearningData & PlanRequest): Promise<(layout: LoraLayout) => RunPlan> {
    const { recipe } = options;
    const rows = 'prepared' in options ? options.prepared.rows.length : repeated(options.pictures, recipe);
    return this.#planner(options, {
      shapes: this.#shapes(options, recipe),
      batchesPerEpoch: Math.ceil(rows / recipe.per_device_train_batch_size),
      encodes: 'pictures' in options,
      evaluates: 'pictures' in options && recipe.eval_share > 0 && options.pictures.length > 1,
    });
  }

  protected override async *prepare(
    options: LookTrainOptions,
    start: Adapter,
  ): AsyncGenerator<PrepareEvent, PreparedRun<Pixels>> {
    const { recipe, signal, samplePrompts = [], sampleSeed = 0 } = options;
    const samples = recipe.sample_steps > 0 ? samplePrompts : [];
    const shapes = this.#shapes(options, recipe);
    const { denoiser, process } = this.base;
    const conditioner = this.base.conditionerOf([...start.tensors.keys()]);
    const context = { denoiser, process, conditioner };
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
    await this.base.keepOnly(trainingComponents(samples.length > 0, conditioner !== undefined));
    return {
      data,
      plan: this.#planner(options, {
        shapes,
        batchesPerEpoch: perEpoch,
        encodes: 'pictures' in options,
        evaluates: data.heldOut.length > 0,
      }),
      sampler: async ({ arenas }) => {
        if (samples.length === 0) return undefined;
        const pipeline = new ImagePipeline(this.base, this.adapter, arenas);
        return {
          samples: () => pipeline.samples(samples, recipe, sampleSeed),
          destroy: () => pipeline.destroy(),
        };
      },
    };
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
}

/** Pictures of a round: repeats, and as many class pictures beside. */
function repeated(pictures: readonly PictureSource[], recipe: Recipe): number {
  return pictures.reduce((sum, { row }) => sum + row.repeats, 0) * (recipe.with_prior_preservation ? 2 : 1);
}
