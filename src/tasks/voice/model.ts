import type { LoraConfig } from '../../adapters/lora-config.ts';
import type { LoraLayout } from '../../adapters/layout.ts';
import type { LoraTarget } from '../../adapters/targets.ts';
import { initLora } from '../../adapters/init.ts';
import type { Adapter } from '../../adapters/peft.ts';
import { IGNORED_LABEL } from '../../common/ignored-label.ts';
import { RandomStream } from '../../common/random.ts';
import type { Message, TrainingRow } from '../../datasets/voice/rows.ts';
import type { AdapterBuffers } from '../../engine/adapter-buffers.ts';
import type { Device } from '../../engine/device.ts';
import { UserError } from '../../common/errors.ts';
import type { AdapterHook } from '../../models/layers/builder.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { CausalLmParser } from '../../models/causal-lm/registry.ts';
import { Tokenizer } from '../../models/causal-lm/tokenizer.ts';
import { parsePrecision } from '../../models/files/precision.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { RunPlan, SeededRunRequest } from '../../training/run-plan.ts';
import { VoiceBase } from './base.ts';
import type { PreparedRun } from '../adapted-model.ts';
import { AdaptedModel } from '../adapted-model.ts';
import type { LoadOptions, PlanRequest, PrepareEvent, Sample, TaskModel } from '../task-model.ts';
import { doraMagnitudes } from '../dora.ts';
import type { Examples } from './examples.ts';
import { makeExamples, runData, tokenRows } from './examples.ts';
import type { SampleLength } from './text-generator.ts';
import { TextGenerator } from './text-generator.ts';
import { planTraining } from './plan.ts';
import { greedy, sampleToken } from '../sampling.ts';
import { checkSampling } from './check-sampling.ts';
import type { GenerateChunk, GenerateRequest, ModelInfo, TokenPreview } from './types.ts';

export interface LoadVoiceOptions extends LoadOptions {
  /** Language models by model_type; default those of the registry. */
  known?: Readonly<Record<string, CausalLmParser>>;
}

/** What is learnt from: rows of a data set, or a prepared batch file already read. */
export type LearningData = { rows: readonly TrainingRow[] } | { examples: Examples };

export type TrainOptions = LearningData & SeededRunRequest;

/** Length of the samples along the way. */
const SAMPLE_TOKENS = 48;

/** A chat model on the device: it talks, is trained, and gives its adapter away. One thing at a time. */
export class VoiceModel
  extends AdaptedModel<VoiceBase, LearningData, string>
  implements TaskModel<LearningData, GenerateRequest, GenerateChunk, string>
{
  readonly #tokenizer: Tokenizer | undefined;
  #generator: TextGenerator | undefined;

  private constructor(base: VoiceBase, tokenizer: Tokenizer | undefined) {
    super(base);
    this.#tokenizer = tokenizer;
  }

  /** Throws UserError where the folder is no supported model, is damaged, or does not fit the device. */
  static async load(device: Device, folder: ModelFolder, options: LoadVoiceOptions = {}): Promise<VoiceModel> {
    const base = await VoiceBase.load(device, folder, { ...options, precision: parsePrecision(options.precision) });
    try {
      // Prepared batches need no tokenizer; who asks for it without one gets the reason.
      const tokenizer = folder.files.includes('tokenizer.json') ? await Tokenizer.load(folder) : undefined;
      return new VoiceModel(base, tokenizer);
    } catch (error) {
      base.destroy();
      throw error;
    }
  }

  get tokenizer(): Tokenizer {
    if (!this.#tokenizer)
      throw new UserError(
        `“${this.base.checkpoint.folder.name}” has no tokenizer.json. Choose a version of the model that has one.`,
      );
    return this.#tokenizer;
  }

  get info(): ModelInfo {
    return this.base.info(this.#tokenizer?.hasChatTemplate ?? false);
  }

  protected override dropPrograms(): void {
    this.#generator?.destroy();
    this.#generator = undefined;
  }

  /** Tokens of a text by itself, without those that the tokenizer puts around it. */
  async countTokens(text: string): Promise<number> {
    return text === '' ? 0 : this.tokenizer.encode(text, { addSpecialTokens: false }).length;
  }

  /** Which tokens of each row carry loss. */
  preview(rows: readonly TrainingRow[]): TokenPreview[] {
    return tokenRows(rows, this.tokenizer).map(({ inputIds, labels }) => ({
      tokens: Array.from(inputIds, (id, i) => ({
        id,
        text: this.tokenizer.tokenText(id),
        trained: labels[i] !== IGNORED_LABEL,
      })),
    }));
  }

  /** Streams a reply. The adapter, where there is one, is applied at `strength` (default 1). */
  async *generate(request: GenerateRequest): AsyncGenerator<GenerateChunk> {
    yield* this.#reply((this.#generator ??= new TextGenerator(this.base, this.adapter)), request);
  }

  async *#reply(generator: TextGenerator, request: GenerateRequest): AsyncGenerator<GenerateChunk> {
    checkSampling(request);
    const { tokenizer, base } = this;
    if ((request.prompt === undefined) === (request.messages === undefined))
      throw new UserError('Give either a prompt or messages.');
    const prompt = request.messages ? tokenizer.encodePrompt(request.messages) : tokenizer.encode(request.prompt!);
    const ids = prompt.length > 0 ? Array.from(prompt) : [tokenizer.bosId ?? tokenizer.eosId ?? 0];
    const room = base.contextLength - ids.length;
    if (room < 1) {
      throw new UserError(
        `The conversation is ${ids.length} tokens long, and this base reads ${base.contextLength}. Shorten it.`,
      );
    }
    const limit = Math.min(request.max_new_tokens, room);
    await generator.reserve(ids.length + limit);
    const strength = request.strength ?? 1;
    const random = new RandomStream(request.seed ?? 0, 'generate');
    const stream = tokenizer.stream();
    let next: ArrayLike<number> = ids;
    let position = 0;
    for (let made = 0; made < limit; made++) {
      request.signal?.throwIfAborted();
      const logits = await generator.read(next, position, strength);
      position += next.length;
      const id = request.do_sample ? sampleToken(logits, request, random) : greedy(logits);
      const stop = tokenizer.stopIds.includes(id);
      const text = stop ? stream.end() : stream.push([id]);
      if (stop || made + 1 === limit) {
        yield { text: stop ? text : text + stream.end(), tokenIds: [id] };
        return;
      }
      yield { text, tokenIds: [id] };
      next = [id];
    }
  }

  get adapterBuffers(): AdapterBuffers | undefined {
    return this.adapter.buffers;
  }

  get hook(): AdapterHook | undefined {
    return this.adapter.hook;
  }

  /** What is asked for a sample: a turn of the person where there is a chat template, else the beginning of a text. */
  #asked(prompt: string): { messages: Message[] } | { prompt: string } {
    return this.tokenizer.hasChatTemplate ? { messages: [{ role: 'user', content: prompt }] } : { prompt };
  }

  #sampleLengths({ samplePrompts = [], recipe }: Pick<PlanRequest, 'samplePrompts' | 'recipe'>): SampleLength[] {
    if (recipe.sample_steps === 0) return [];
    return samplePrompts.map((prompt) => {
      const asked = this.#asked(prompt);
      const ids =
        'messages' in asked ? this.tokenizer.encodePrompt(asked.messages) : this.tokenizer.encode(asked.prompt);
      const room = this.base.contextLength - ids.length;
      if (room < 1) {
        throw new UserError(
          `The words to try “${prompt.slice(0, 40)}…” are ${ids.length} tokens long, and this base reads ${this.base.contextLength}. Shorten them.`,
        );
      }
      return { prompt: Math.max(1, ids.length), reply: Math.min(SAMPLE_TOKENS, room) };
    });
  }

  #examples(data: LearningData, recipe: Recipe): Examples {
    if ('examples' in data) return data.examples;
    return makeExamples(
      tokenRows(data.rows, this.tokenizer),
      recipe,
      this.base.contextLength,
      this.tokenizer.padId ?? 0,
    );
  }

  protected override targets(adapter: LoraConfig): LoraTarget[] {
    return this.base.targets(adapter);
  }

  /** Plans a run over these examples, with samples of these lengths. */
  #planner(
    { recipe, memoryBudget }: PlanRequest,
    examples: Examples,
    samples: readonly SampleLength[],
  ): (layout: LoraLayout) => RunPlan {
    return (layout) => planTraining(this.base, layout, recipe, examples, { budget: memoryBudget, samples });
  }

  protected override async planOf(options: LearningData & PlanRequest): Promise<(layout: LoraLayout) => RunPlan> {
    return this.#planner(options, this.#examples(options, options.recipe), this.#sampleLengths(options));
  }

  // eslint-disable-next-line require-yield -- rows become tokens at once: there is nothing to tell
  protected override async *prepare(
    options: LearningData & SeededRunRequest,
  ): AsyncGenerator<PrepareEvent, PreparedRun<string>> {
    const { recipe, samplePrompts = [] } = options;
    const examples = this.#examples(options, recipe);
    const lengths = this.#sampleLengths(options);
    return {
      data: runData(examples, recipe, this.base.lm.keyRanges),
      plan: this.#planner(options, examples, lengths),
      sampler: async ({ arenas }) => {
        if (lengths.length === 0) return undefined;
        const generator = new TextGenerator(this.base, this.adapter, arenas);
        try {
          // At once, so that a run that does not fit ends before it begins.
          await generator.prepare(lengths);
        } catch (error) {
          generator.destroy();
          throw error;
        }
        return {
          samples: () => this.#samples(generator, samplePrompts, recipe.seed),
          destroy: () => generator.destroy(),
        };
      },
    };
  }

  protected override async initialAdapter(config: LoraConfig, { seed }: Recipe): Promise<Adapter> {
    const tensors = initLora(this.base.targets(config), config, seed);
    if (config.use_dora) await doraMagnitudes(this.base.checkpoint, tensors);
    return { config, tensors };
  }

  /** Base and tuned on the same prompts, by likeliest token, so that a change is the training's. */
  async *#samples(generator: TextGenerator, prompts: readonly string[], seed: number): AsyncGenerator<Sample<string>> {
    for (const prompt of prompts) {
      const say = async (strength: number): Promise<string> => {
        const asked = this.#asked(prompt);
        let text = '';
        for await (const chunk of this.#reply(generator, {
          ...asked,
          max_new_tokens: SAMPLE_TOKENS,
          do_sample: false,
          seed,
          strength,
        }))
          text += chunk.text;
        return text;
      };
      yield { prompt, base: await say(0), tuned: await say(1) };
    }
  }
}
