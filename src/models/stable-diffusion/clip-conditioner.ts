import type { InputData } from '../../engine/program.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { ClipTextConfig } from '../clip/text-encoder.ts';
import { clipText, clipTextInputs, clipTextModules, declareClipText } from '../clip/text-encoder.ts';
import type { ClipTokenizer } from '../clip/tokenizer.ts';
import type { Conditioner, PromptTokens } from '../diffusion/conditioner.ts';
import type { Lengths } from '../diffusion/denoiser.ts';
import { lengthOf } from '../diffusion/denoiser.ts';
import type { ModelBuilder, Projection } from '../layers/builder.ts';

export interface TextEncoder {
  name: 'text_encoder' | 'text_encoder_2';
  config: ClipTextConfig;
}

export interface ClipConditionerOptions {
  /** SDXL: the states of the last layer but one, and the last encoder's projected summary. */
  withSummary: boolean;
  zerosForEmptyPrompt: boolean;
  /** One for each encoder, in their order. */
  tokenizers: () => Promise<ClipTokenizer[]>;
}

/**
 * CLIP's text encoders as Stable Diffusion hears them: 1 and 2 take the last layer's states, normed; SDXL the last but one of
 * both encoders side by side, and the second's projected summary.
 */
export class ClipConditioner implements Conditioner {
  readonly encoders: readonly TextEncoder[];
  readonly zerosForEmptyPrompt: boolean;
  readonly conditions: readonly string[];
  readonly outputNames: Readonly<Record<string, string>>;
  readonly tokenInputs: readonly string[];
  readonly usualTargets: readonly string[] = ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2'];
  readonly #withSummary: boolean;
  readonly #open: () => Promise<ClipTokenizer[]>;
  #tokenizers: Promise<ClipTokenizer[]> | undefined;
  #modules: readonly Projection[] | undefined;

  /** @param encoders one, or SDXL's two, whose states lie side by side */
  constructor(encoders: readonly TextEncoder[], options: ClipConditionerOptions) {
    const { withSummary, zerosForEmptyPrompt, tokenizers } = options;
    this.encoders = encoders;
    this.zerosForEmptyPrompt = zerosForEmptyPrompt;
    this.#withSummary = withSummary;
    this.#open = tokenizers;
    this.conditions = withSummary ? ['encoder_hidden_states', 'text_embeds'] : ['encoder_hidden_states'];
    this.outputNames = withSummary ? {} : { encoder_hidden_states: 'last_hidden_state' };
    this.tokenInputs = encoders.map((_, i) => (i === 0 ? 'input_ids' : `input_ids_${i + 1}`));
  }

  get components(): readonly string[] {
    return this.encoders.map(({ name }) => name);
  }

  get promptTokens(): number {
    return this.encoders[0]!.config.maxPositions;
  }

  get lengths(): Lengths {
    return { encoder_hidden_states: this.promptTokens };
  }

  lengthsOf([ids]: PromptTokens): Lengths {
    return { encoder_hidden_states: ids!.length };
  }

  get modules(): readonly Projection[] {
    return (this.#modules ??= this.encoders.flatMap(({ name, config }) => clipTextModules(config, name)));
  }

  #loaded(): Promise<ClipTokenizer[]> {
    return (this.#tokenizers ??= this.#open());
  }

  async tokenize(prompt: string): Promise<PromptTokens> {
    return (await this.#loaded()).map((tokenizer) => tokenizer.encode(prompt));
  }

  async countTokens(prompt: string): Promise<number> {
    const [tokenizer] = await this.#loaded();
    return tokenizer!.count(prompt);
  }

  forward(
    b: ModelBuilder,
    { rows, lengths }: { rows: number; lengths: Lengths },
    { training }: { training: boolean },
  ): Readonly<Record<string, Tensor>> {
    const shape = { images: rows, length: lengthOf(lengths, 'encoder_hidden_states') };
    const states = this.encoders.map(({ name, config }) =>
      clipText(b, config, name, declareClipText(b.graph, config, name, shape, training), shape),
    );
    const [first, second] = states;
    if (!this.#withSummary) return { encoder_hidden_states: first!.lastHiddenState };
    const parts = states.map(({ penultimate }) => penultimate);
    const context = second ? b.graph.emit('concat', { x0: parts[0]!, x1: parts[1]! }, {}).y : parts[0]!;
    return { encoder_hidden_states: context, text_embeds: states.at(-1)!.textEmbeds! };
  }

  inputs(texts: readonly PromptTokens[]): Record<string, InputData> {
    return Object.assign(
      {},
      ...this.encoders.map(({ name, config }, i) =>
        clipTextInputs(
          texts.map((ids) => ids[i]!),
          config,
          name,
        ),
      ),
    ) as Record<string, InputData>;
  }
}
