import type { LoraConfig } from '../../adapters/lora-config.ts';
import { initLora } from '../../adapters/init.ts';
import type { Adapter } from '../../adapters/peft.ts';
import { readPeftFolder } from '../../adapters/peft.ts';
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
import { decodeRunState } from '../../training/checkpoint.ts';
import type { Recipe } from '../../training/recipe.ts';
import { TrainingLoop } from '../../training/training-loop.ts';
import type { RunRequest } from '../../training/run-plan.ts';
import { planTuned } from '../../training/run-plan.ts';
import { VoiceBase } from './base.ts';
import { PeftModel } from '../adapted-model.ts';
import { doraMagnitudes } from '../dora.ts';
import type { Examples } from './examples.ts';
import { makeExamples, runData, tokenRows } from './examples.ts';
import type { SampleLength } from './text-generator.ts';
import { TextGenerator } from './text-generator.ts';
import { planTraining } from './plan.ts';
import { greedy, sampleToken } from '../sampling.ts';
import { checkSampling } from './check-sampling.ts';
import type { GenerateChunk, GenerateRequest, ModelInfo, PlanReport, TokenPreview, TrainingEvent } from './types.ts';

export interface LoadOptions {
  /** stored (as in the file), f32, bf16 or f16. */
  precision?: string;
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal;
  /** Language models by model_type; default those of the registry. */
  known?: Readonly<Record<string, CausalLmParser>>;
}

/** What is learnt from: rows of a data set, or a prepared batch file already read. */
export type LearningData = { rows: readonly TrainingRow[] } | { examples: Examples };

export type TrainOptions = LearningData & RunRequest;

/** Length of the samples along the way. */
const SAMPLE_TOKENS = 48;

/** A chat model on the device: it talks, is trained, and gives its adapter away. One thing at a time. */
export class VoiceModel extends PeftModel {
  readonly base: VoiceBase;
  readonly #tokenizer: Tokenizer | undefined;
  #generator: TextGenerator | undefined;

  private constructor(base: VoiceBase, tokenizer: Tokenizer | undefined) {
    super(base);
    this.base = base;
    this.#tokenizer = tokenizer;
  }

  /** Throws UserError where the folder is no supported model, is damaged, or does not fit the device. */
  static async load(device: Device, folder: ModelFolder, options: LoadOptions = {}): Promise<VoiceModel> {
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

  /** Puts an adapter (a PEFT folder, or one already read) beside the base, or takes it away. */
  override async useAdapter(adapter: ModelFolder | Adapter | null): Promise<void> {
    await super.useAdapter(!adapter || 'config' in adapter ? adapter : await readPeftFolder(adapter));
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

  #sampleLengths({ samplePrompts = [] }: { samplePrompts?: string[] }, recipe: Recipe): SampleLength[] {
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

  /** What a run would take, without allocating anything. */
  plan(
    options: LearningData & { recipe: Recipe; adapter: LoraConfig; samplePrompts?: string[]; memoryBudget?: number },
  ): PlanReport {
    const { recipe, adapter, memoryBudget } = options;
    const layout = this.base.layout(this.base.targets(adapter), adapter, true);
    const examples = this.#examples(options, recipe);
    const samples = this.#sampleLengths(options, recipe);
    return planTraining(this.base, layout, recipe, examples, { budget: memoryBudget, samples }).report;
  }

  /** Trains; ending the iteration early keeps what was learnt so far. */
  async *train(options: TrainOptions): AsyncGenerator<TrainingEvent> {
    const { recipe, signal, pause, samplePrompts = [] } = options;
    const resume = options.resume && (await decodeRunState(options.resume));
    const examples = this.#examples(options, recipe);
    const start = resume
      ? this.adapter.ofState(resume)
      : (options.from ?? (await this.#initialAdapter(options.adapter, recipe.seed)));
    const lora = start.config;
    const { layout, buffers } = await this.adapter.activate(start, true);
    const samples = this.#sampleLengths(options, recipe);
    const planned = () => planTraining(this.base, layout, recipe, examples, { budget: options.memoryBudget, samples });
    const { device } = this.base;
    const plan = await planTuned(device, options.tune, planned);
    const generator = new TextGenerator(this.base, this.adapter, plan.arenas);
    const run = new TrainingLoop({
      device,
      weights: this.base,
      layout,
      adapter: buffers,
      plan,
      recipe,
      lora,
      data: runData(examples, recipe, this.base.lm.keyRanges),
      resume,
      signal,
      pause,
      awaitEachStepUntil: options.awaitEachStepUntil,
      sample: samples.length > 0 ? () => this.#samples(generator, samplePrompts, recipe.seed) : undefined,
    });
    try {
      // At once, so that a run that does not fit ends before it begins.
      await generator.prepare(samples);
      yield* run.events();
    } finally {
      generator.destroy();
      plan.arenas.destroy();
    }
  }

  async #initialAdapter(config: LoraConfig, seed: number): Promise<Adapter> {
    const tensors = initLora(this.base.targets(config), config, seed);
    if (config.use_dora) await doraMagnitudes(this.base.checkpoint, tensors);
    return { config, tensors };
  }

  /** Base and tuned on the same prompts, by likeliest token, so that a change is the training's. */
  async *#samples(
    generator: TextGenerator,
    prompts: readonly string[],
    seed: number,
  ): AsyncGenerator<{ prompt: string; base: string; tuned: string }> {
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

  destroy(): void {
    this.adapter.drop();
    this.base.destroy();
  }
}
