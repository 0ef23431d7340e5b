/** How a codec's programs are run over sounds of any length, and what encoding and decoding have in common there. */
import type { InputData } from '../../engine/program.ts';
import type { CodecPart } from './encodec.ts';
import { windowFrames } from './encodec.ts';
import type { EncodecConfig } from './encodec-config.ts';

/** Runs a codec's program (`codecPart`) of this size on these inputs, and returns its outputs. */
export type RunCodecPart = (
  part: CodecPart,
  size: { frames: number; windows: number },
  inputs: Record<string, InputData>,
) => Promise<Record<string, Float32Array<ArrayBuffer>>>;

export interface CodecRun {
  config: EncodecConfig;
  /** Codebooks of one channel. */
  codebooks: number;
  run: RunCodecPart;
  /** Windows computed together; default 1. */
  windows?: number;
  /** Frames of a part's window; for tests of the seams. */
  frames?: (part: CodecPart) => number;
  signal?: AbortSignal;
}

/** Short sounds take smaller windows, of few sizes, so that few programs serve all. */
const SMALLEST_WINDOW = 16;

/** Frames of a part's windows or blocks for a sound of `total` frames. */
export function framesFor({ config, frames }: CodecRun, part: CodecPart, total: number): number {
  const most = frames ? frames(part) : windowFrames(config, part);
  const enough = Math.max(SMALLEST_WINDOW, 2 ** Math.ceil(Math.log2(total)));
  return Math.min(most, windowFrames(config, part, enough));
}

/** `count` rows of `width` numbers from row `first` on; rows outside of `values` are zeros, which nothing reads. */
export function cutRows(
  values: Float32Array<ArrayBuffer>,
  width: number,
  first: number,
  count: number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(count * width);
  const from = Math.max(0, first);
  const to = Math.min(values.length / width, first + count);
  if (to > from) out.set(values.subarray(from * width, to * width), (from - first) * width);
  return out;
}

/** x + LSTM(x) over the frames of one sound, block after block, its state carried on. */
export class LstmBlocks {
  /** [frames, width]; the first `done` frames are final. */
  readonly heard: Float32Array<ArrayBuffer>;
  readonly #codec: CodecRun;
  readonly #part: 'encoder.lstm' | 'decoder.lstm';
  readonly #features: Float32Array<ArrayBuffer>;
  readonly #width: number;
  readonly #total: number;
  #states: Record<string, InputData> = {};
  #done = 0;

  /** @param features [frames, width], filled while the blocks go on */
  constructor(
    codec: CodecRun,
    part: 'encoder.lstm' | 'decoder.lstm',
    features: Float32Array<ArrayBuffer>,
    width: number,
  ) {
    this.#codec = codec;
    this.#part = part;
    this.#features = features;
    this.#width = width;
    this.#total = features.length / width;
    this.heard = new Float32Array(features.length);
    for (let layer = 0; layer < codec.config.lstmLayers; layer++) {
      this.#states[`h0.${layer}`] = new Float32Array(width);
      this.#states[`c0.${layer}`] = new Float32Array(width);
    }
  }

  get done(): number {
    return this.#done;
  }

  /** Goes on over whole blocks of the first `there` frames, and over what is left where that is all. */
  async advance(there: number): Promise<void> {
    const { run, signal } = this.#codec;
    const frames = framesFor(this.#codec, this.#part, this.#total);
    while (this.#done < this.#total && there >= Math.min(this.#total, this.#done + frames)) {
      signal?.throwIfAborted();
      const start = this.#done;
      const end = Math.min(this.#total, start + frames);
      const x = cutRows(this.#features, this.#width, start, frames);
      const outputs = await run(this.#part, { frames, windows: 1 }, { x, ...this.#states });
      this.heard.set(outputs['y']!.subarray(0, (end - start) * this.#width), start * this.#width);
      this.#states = Object.fromEntries(
        Object.keys(this.#states).map((name) => [name, outputs[name.replace('0.', '.')]!.slice()] as const),
      );
      this.#done = end;
    }
  }
}
