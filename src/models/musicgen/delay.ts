import { UserError } from '../../common/errors.ts';
import { IGNORED_LABEL } from '../../common/ignored-label.ts';

/** Codebooks of a MusicGen decoder; of stereo models the even ones belong to the left channel, the odd ones to the right. */
export interface Codebooks {
  codebooks: number;
  channels: number;
}

/** Codebooks of one channel. */
export const channelCodebooks = ({ codebooks, channels }: Codebooks): number => codebooks / channels;

/** How many steps later than the first a codebook is predicted (Copet et al., arXiv:2306.05284, “delay”). */
export const delayOf = ({ channels }: Codebooks, codebook: number): number => Math.floor(codebook / channels);

/** Frames that so many steps of the decoder give; 0 or less where they are too few for the delay. */
export const framesOfSteps = (books: Codebooks, steps: number): number => steps + 1 - channelCodebooks(books);

/** Steps of the decoder that so many frames take. */
export const stepsOfFrames = (books: Codebooks, frames: number): number => frames - 1 + channelCodebooks(books);

/** transformers delays nothing in fewer steps; here they are refused. */
const fewestSteps = (books: Codebooks): number => 2 * channelCodebooks(books) - 2;

/** Throws UserError where so many steps are too few for all codebooks to begin and end. */
export function requireSteps(books: Codebooks, steps: number): void {
  const fewest = Math.max(channelCodebooks(books), fewestSteps(books));
  if (!Number.isSafeInteger(steps) || steps < fewest)
    throw new UserError(`max_new_tokens is ${steps}; with ${books.codebooks} codebooks at least ${fewest} are needed.`);
}

/**
 * Whether a codebook's token is predicted by this step of `steps` (from 0). All other tokens are the start token, whatever
 * the decoder says: those before a codebook begins and those after its last frame.
 */
export function isPredicted(books: Codebooks, codebook: number, step: number, steps: number): boolean {
  const first = delayOf(books, codebook);
  return step >= first && step < first + framesOfSteps(books, steps);
}

/**
 * Labels [T, K] of a clip's codes [K, frames], delayed, `padId` where a codebook has not begun or has ended. `whole` says
 * whether T is long enough for the last codebook's end (frames - 1 + codebooks of a channel); without it T is `frames`, and
 * the delayed codebooks lose their ends, as in musicgen-dreamboothing.
 */
export function delayedLabels(
  books: Codebooks,
  codes: ArrayLike<number>,
  padId: number,
  { whole = true }: { whole?: boolean } = {},
): Int32Array<ArrayBuffer> {
  const { codebooks } = books;
  const frames = codes.length / codebooks;
  const length = whole ? stepsOfFrames(books, frames) : frames;
  const labels = new Int32Array(length * codebooks).fill(padId);
  for (let k = 0; k < codebooks; k++) {
    const delay = delayOf(books, k);
    for (let t = 0; t < frames && t + delay < length; t++) labels[(t + delay) * codebooks + k] = codes[k * frames + t]!;
  }
  return labels;
}

export interface DecoderTokens {
  vocabSize: number;
  startId: number;
  padId: number;
}

/** What a decoder is trained on: for each codebook what goes in, what is to come out, and how much it counts. */
export interface CodebookBatch {
  /** u32 [rows · length] each */
  ids: Uint32Array<ArrayBuffer>[];
  /** i32 [rows · length] each; -100 where there is no loss */
  labels: Int32Array<ArrayBuffer>[];
  /** [rows · length] each: 1 / (K · label tokens of this codebook), so that weighted losses sum to transformers' loss */
  weights: Float32Array<ArrayBuffer>[];
}

/**
 * Inputs and labels of a batch as MusicgenForConditionalGeneration makes them of `labels` [rows, length, K]: inputs are the
 * labels one step later behind the start token; the pad token and -100 carry no loss; the loss is the mean over codebooks of
 * each one's mean over the batch. A codebook without any label counts as 0 (torch would give NaN).
 * Throws UserError for a label outside of the vocabulary.
 */
export function codebookBatch(
  books: Codebooks,
  { vocabSize, startId, padId }: DecoderTokens,
  labels: ArrayLike<number>,
  { rows, length }: { rows: number; length: number },
): CodebookBatch {
  const { codebooks } = books;
  const batch: CodebookBatch = { ids: [], labels: [], weights: [] };
  if (labels.length !== rows * length * codebooks)
    throw new Error(`${labels.length} labels for ${rows} rows of ${length} steps and ${codebooks} codebooks`);
  for (let k = 0; k < codebooks; k++) {
    const ids = new Uint32Array(rows * length);
    const wanted = new Int32Array(rows * length);
    let count = 0;
    for (let i = 0; i < rows * length; i++) {
      const label = labels[i * codebooks + k]!;
      const ignored = label === IGNORED_LABEL || label === padId;
      if (!ignored && !(Number.isInteger(label) && label >= 0 && label < vocabSize)) {
        throw new UserError(
          `A label of codebook ${k} is ${label}; codes are from 0 to ${vocabSize - 1}, the pad token ${padId} and ${IGNORED_LABEL} are left out.`,
        );
      }
      wanted[i] = ignored ? IGNORED_LABEL : label;
      if (!ignored) count++;
      if ((i + 1) % length !== 0) ids[i + 1] = label === IGNORED_LABEL ? padId : label;
      if (i % length === 0) ids[i] = startId;
    }
    batch.ids.push(ids);
    batch.labels.push(wanted);
    const weight = count === 0 ? 0 : 1 / (codebooks * count);
    batch.weights.push(Float32Array.from(wanted, (label) => (label === IGNORED_LABEL ? 0 : weight)));
  }
  return batch;
}
