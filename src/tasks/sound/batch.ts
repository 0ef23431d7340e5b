import type { MusicgenConfig } from '../../models/musicgen/musicgen-config.ts';
import type { DecoderShape } from '../../models/musicgen/decoder.ts';
import { decoderInputs } from '../../models/musicgen/decoder.ts';
import { codebookBatch } from '../../models/musicgen/delay.ts';
import type { Batch } from '../../training/trainer.ts';

/** What the decoder hears of a caption. */
export interface TextState {
  /** The text encoder's last_hidden_state, [tokens, hidden], where nothing is padding. */
  states: Float32Array<ArrayBuffer>;
  tokens: number;
}

/** One example with everything drawn. */
export interface SoundRow {
  /** [steps, K], as transformers' labels: delayed, pad token and -100 without loss. */
  labels: Int32Array;
  /** null: nothing is heard, as when the caption is left out. */
  text: TextState | null;
}

export const programName = ({ length, textLength }: Pick<DecoderShape, 'length' | 'textLength'>): string =>
  `${length}+${textLength}`;

/** Texts of a batch one below the other, filled up to one length. @returns states [rows · length, hidden] and their mask */
export function padTexts(
  texts: readonly (TextState | null)[],
  length: number,
  hidden: number,
): { states: Float32Array<ArrayBuffer>; mask: Uint8Array } {
  const states = new Float32Array(texts.length * length * hidden);
  const mask = new Uint8Array(texts.length * length);
  texts.forEach((text, row) => {
    if (!text) return;
    states.set(text.states, row * length * hidden);
    mask.fill(1, row * length, row * length + text.tokens);
  });
  return { states, mask };
}

/**
 * Inputs of the loss graph for rows of at most `length` steps, filled up with what carries no loss. The loss is the mean over
 * codebooks of each one's mean over the batch, so that the mean over a step's batches is what transformers reports.
 */
export function makeBatch(
  { decoder, startId, text }: MusicgenConfig,
  rows: readonly SoundRow[],
  shape: Pick<DecoderShape, 'length' | 'textLength'>,
): Batch {
  const { length, textLength } = shape;
  const { codebooks, padId } = decoder;
  const labels = new Int32Array(rows.length * length * codebooks).fill(padId);
  rows.forEach((row, i) => labels.set(row.labels, i * length * codebooks));
  const tokens = { vocabSize: decoder.vocabSize, startId, padId };
  const batch = codebookBatch(decoder, tokens, labels, { rows: rows.length, length });
  const { states, mask } = padTexts(
    rows.map((row) => row.text),
    textLength,
    text.hiddenSize,
  );
  return {
    program: programName(shape),
    inputs: {
      ...decoderInputs({ rows: rows.length, ...shape }, { ids: batch.ids, textStates: states, textMask: mask }),
      ...Object.fromEntries(batch.labels.map((list, k) => [`labels.${k}`, list])),
      ...Object.fromEntries(batch.weights.map((list, k) => [`weights.${k}`, list])),
    },
    labelTokens: 1,
  };
}
