import type { Program, ProgramPlan } from '../../engine/program.ts';
import type { SharedArenas } from '../../engine/shared-arenas.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import { t5Inputs } from '../../models/t5/encoder.ts';
import { ProgramCache } from '../program-cache.ts';
import type { SoundBase } from './base.ts';
import type { TextState } from './batch.ts';
import { TEXT, textGraph } from './graphs.ts';

/** Texts are filled up to multiples of this, so that few programs serve all. */
const LENGTH_STEP = 16;

export const paddedLength = (tokens: number): number => Math.max(1, Math.ceil(tokens / LENGTH_STEP)) * LENGTH_STEP;

/** Words as what the decoder hears. Programs are kept until `release`. */
export class TextEncoder {
  readonly #base: SoundBase;
  readonly #programs: ProgramCache;

  /** @param arenas those of a run, see ProgramCache */
  constructor(base: SoundBase, arenas?: SharedArenas) {
    this.#base = base;
    this.#programs = new ProgramCache(base, arenas);
  }

  plan(length: number): ProgramPlan {
    return this.#base.planOf(textGraph(this.#base.graphOptions(), { texts: 1, length }));
  }

  async #program(length: number): Promise<Program> {
    await this.#base.load('text');
    return this.#programs.get(String(length), () => this.plan(length));
  }

  /** The text encoder's last_hidden_state of one text's tokens. Throws UserError for ids that it does not know. */
  async encodeIds(ids: ArrayLike<number>): Promise<TextState> {
    const { text } = this.#base.config;
    const length = paddedLength(ids.length);
    const padded = new Int32Array(length);
    padded.set(Array.from(ids));
    const mask = Uint8Array.from({ length }, (_, i) => (i < ids.length ? 1 : 0));
    const program = await this.#program(length);
    const { states } = await program.run(t5Inputs(text, TEXT, { texts: 1, length }, padded, mask), IDLE_STEP);
    return { states: states!.slice(0, ids.length * text.hiddenSize), tokens: ids.length };
  }

  /** Token ids with the end that the tokenizer adds. */
  async tokenIds(prompt: string): Promise<ArrayLike<number>> {
    return (await this.#base.tokenizer()).encode(prompt);
  }

  async encode(prompt: string): Promise<TextState> {
    return this.encodeIds(await this.tokenIds(prompt));
  }

  release(): void {
    this.#programs.release();
  }
}
