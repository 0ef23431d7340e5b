export interface ContextMeter {
  tokens: number;
  /** Counted by the base's tokenizer; else by the rule of thumb. */
  exact: boolean;
  /** The base's context length; null where none is loaded. */
  context: number | null;
  /** Share of the context that the text takes. */
  share: number;
  /** Exchanges (a question and its answer) that fit beside it. */
  exchanges: number;
}

/** English text in usual vocabularies: about four characters a token. */
const CHARACTERS_A_TOKEN = 4;
/** A short question and an answer of a few sentences, with the template's own tokens. */
const TOKENS_AN_EXCHANGE = 120;

/** What a background costs of a base's context, and what it leaves. `counted` is null where no tokenizer is at hand. */
export function contextMeter(text: string, counted: number | null, context: number | null): ContextMeter {
  const tokens = counted ?? Math.ceil(text.trim().length / CHARACTERS_A_TOKEN);
  const room = context === null ? 0 : Math.max(0, context - tokens);
  return {
    tokens,
    exact: counted !== null,
    context,
    share: context === null ? 0 : tokens / context,
    exchanges: Math.floor(room / TOKENS_AN_EXCHANGE),
  };
}
