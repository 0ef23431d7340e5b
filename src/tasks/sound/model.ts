import type { LoraConfig } from '../../adapters/lora-config.ts';
import type { LoraLayout } from '../../adapters/layout.ts';
import type { LoraTarget } from '../../adapters/targets.ts';
import { initLora } from '../../adapters/init.ts';
import type { Adapter } from '../../adapters/peft.ts';
import type { SoundBlock, SoundSource } from '../../datasets/sound/types.ts';
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
import { doraMagnitudes } from '../dora.ts';
import type { LoadSoundOptions } from './base.ts';
import { SoundBase } from './base.ts';
import { SoundCodec } from './codec.ts';
import { makeSoundExamples } from './examples.ts';
import type { CodeRequest } from './composer.ts';
import type { Composed } from './music-generator.ts';
import { MusicGenerator } from './music-generator.ts';
import type { SoundRunFacts, SoundShape } from './plan.ts';
import { encodingPlans, planSound, trainingParts } from './plan.ts';
import type { PreparedRows } from './prepared.ts';
import { preparedRunData } from './prepared.ts';
import type { SoundExamples } from './run-data.ts';
import { mostFrames, paddedSteps, soundRunData } from './run-data.ts';
import { TextEncoder, paddedLength } from './text-encoder.ts';
import type { ComposeProgress, ComposeRequest, SoundInfo } from './types.ts';

/** What is learnt from: clips of a data set, or the rows of a prepared batch file. */
export type SoundLearningData = { clips: readonly SoundSource[] } | { prepared: PreparedRows };

export type SoundTrainOptions = SoundLearningData & SeededRunRequest;

/** A music model on the device: it composes, is trained, and gives its adapter away. One thing at a time. */
export class SoundModel
  extends AdaptedModel<SoundBase, SoundLearningData, SoundBlock>
  implements TaskModel<SoundLearningData, ComposeRequest, ComposeProgress, SoundBlock>
{
  #player: MusicGenerator | undefined;

  private constructor(base: SoundBase) {
    super(base);
  }

  /** Throws UserError where the folder is no supported model, is damaged, or does not fit the device. */
  static async load(device: Device, folder: ModelFolder, options: LoadSoundOptions = {}): Promise<SoundModel> {
    return new SoundModel(await SoundBase.load(device, folder, options));
  }

  get info(): SoundInfo {
    return this.base.info;
  }

  /** Tokens of a text with its end. */
  async countTokens(text: string): Promise<number> {
    return (await this.base.tokenizer()).encode(text).length;
  }

  protected override dropPrograms(): void {
    this.#player?.destroy();
    this.#player = undefined;
  }

  #plays(): MusicGenerator {
    return (this.#player ??= new MusicGenerator(this.base, this.adapter));
  }

  /** Composes and plays as it goes; the adapter, where there is one, is applied at `strength`. */
  async *generate(request: ComposeRequest): AsyncGenerator<ComposeProgress, Composed> {
    return yield* this.#plays().play(request);
  }

  /** A whole sound, with its codes. */
  composeWhole(prompt: string, request: CodeRequest): Promise<SoundBlock & Composed> {
    return this.#plays().whole(prompt, request);
  }

  protected override async initialAdapter(config: LoraConfig, { seed }: Recipe): Promise<Adapter> {
    const tensors = initLora(this.base.targets(config), config, seed);
    if (config.use_dora) await doraMagnitudes(this.base.folder.checkpoints[0]!, tensors);
    return { config, tensors };
  }

  protected override targets(adapter: LoraConfig): LoraTarget[] {
    return this.base.targets(adapter);
  }

  /** Frames that a clip of so many seconds is encoded into, and learnt from at a time. */
  #frames(seconds: number): number {
    return Math.max(1, Math.ceil((seconds * this.base.config.audio.sampleRate) / this.base.frameSamples));
  }

  /** Sizes of a run's batches, before anything is encoded. */
  async #shapes(data: SoundLearningData, recipe: Recipe): Promise<SoundShape[]> {
    if ('prepared' in data) {
      const { length, textLength } = data.prepared;
      return [{ length, textLength }];
    }
    const { config, frameRate } = this.base;
    const most = mostFrames({ recipe, frameRate });
    const frames = data.clips.map(({ seconds }) => Math.min(most, this.#frames(seconds)));
    const longest = Math.max(...frames);
    const tokens = await Promise.all(data.clips.map(({ words }) => this.countTokens(words)));
    const textLength = paddedLength(Math.max(...tokens));
    const lengths = new Set(frames.map((each) => paddedSteps(config, each, longest)));
    return [...lengths].map((length) => ({ length, textLength }));
  }

  /** What a plan is made for. */
  async #facts(
    data: SoundLearningData,
    recipe: Recipe,
    samplePrompts: readonly string[],
    budget: number | undefined,
  ): Promise<SoundRunFacts> {
    const shapes = await this.#shapes(data, recipe);
    const rows = 'prepared' in data ? data.prepared.rows.length : data.clips.length;
    const prompts = recipe.sample_steps > 0 ? samplePrompts : [];
    const tokens = await Promise.all(prompts.map((prompt) => this.countTokens(prompt)));
    return {
      shapes,
      batchesPerEpoch: Math.max(1, Math.ceil(rows / recipe.per_device_train_batch_size)),
      encodes: 'clips' in data,
      evaluates: 'clips' in data && recipe.eval_share > 0 && data.clips.length > 1,
      samples:
        tokens.length > 0
          ? {
              frames: Math.round(recipe.sample_duration_in_seconds * this.base.frameRate),
              textLength: paddedLength(Math.max(...tokens)),
              isGuided: recipe.sample_guidance_scale > 1,
            }
          : undefined,
      budget,
    };
  }

  protected override async planOf(options: SoundLearningData & PlanRequest): Promise<(layout: LoraLayout) => RunPlan> {
    const { recipe, memoryBudget, samplePrompts = [] } = options;
    this.#requireData(options);
    const facts = await this.#facts(options, recipe, samplePrompts, memoryBudget);
    return (layout) => planSound(this.base, layout, recipe, facts);
  }

  #requireData(data: SoundLearningData): void {
    if ('clips' in data && data.clips.length === 0)
      throw new UserError('There is nothing to learn from yet. Add music under Data.');
  }

  protected override async *prepare(options: SoundTrainOptions): AsyncGenerator<PrepareEvent, PreparedRun<SoundBlock>> {
    const { recipe, signal, samplePrompts = [], sampleSeed = 0 } = options;
    this.#requireData(options);
    const facts = await this.#facts(options, recipe, samplePrompts, options.memoryBudget);
    let data: RunData;
    if ('clips' in options) {
      const examples = yield* this.#encoded(options.clips, recipe, signal);
      data = soundRunData(examples, { config: this.base.config, recipe, frameRate: this.base.frameRate });
      facts.batchesPerEpoch = Math.max(1, data.count / recipe.per_device_train_batch_size);
      facts.evaluates = data.heldOut.length > 0;
    } else data = preparedRunData(this.base, options.prepared, recipe);
    const { samples } = facts;
    await this.base.keepOnly(trainingParts(samples !== undefined));
    return {
      data,
      plan: (layout) => planSound(this.base, layout, recipe, facts),
      sampler: async ({ arenas }) => {
        if (!samples) return undefined;
        const generator = new MusicGenerator(this.base, this.adapter, { arenas, ...samples });
        return {
          samples: () => generator.samples(samplePrompts, recipe, sampleSeed),
          destroy: () => generator.destroy(),
        };
      },
    };
  }

  /** Codes and text states of clips. */
  async *#encoded(
    clips: readonly SoundSource[],
    recipe: Recipe,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<PrepareEvent, SoundExamples> {
    const { base } = this;
    const { decoder, audio } = base.config;
    const textLengths = await Promise.all(clips.map(async ({ words }) => paddedLength(await this.countTokens(words))));
    const arenas = new SharedArenas(encodingPlans(base, textLengths));
    const text = new TextEncoder(base, arenas);
    const codec = new SoundCodec(base, arenas);
    try {
      const encoders = {
        sampleRate: audio.sampleRate,
        channels: decoder.channels,
        encodeSound: (channels: readonly Float32Array[]) => codec.encode(channels, signal),
        encodeText: (words: string) => text.encode(words),
      };
      return yield* makeSoundExamples(clips, recipe, encoders, { cache: base.cache, signal });
    } finally {
      text.release();
      codec.release();
      arenas.destroy();
    }
  }
}
