import type { Message } from '../../datasets/voice/rows.ts';
import type { GenerateRequest } from '../../tasks/voice/types.ts';
import type { AdapterChoice } from '../../worker/protocol.ts';
import type { GenerateChunk } from '../../tasks/voice/types.ts';
import { announcer } from '../announcer.svelte.ts';
import { bases } from '../base.svelte.ts';
import { voiceInfo } from './info.ts';
import { openProject } from '../project.svelte.ts';
import { countVote, shownOrder, type Vote } from '../votes.ts';
import { callback, errorMessage, modelWorker } from '../workers.ts';

/** Who answers: the base alone, the base with the prompt of Ask, the tuned one. */
export type ColumnId = 'base' | 'prompt' | 'tuned';

export interface Answer {
  text: string;
  /** Complete, or stopped. */
  done: boolean;
}

export interface Turn {
  user: string;
  seed: number;
  answers: Partial<Record<ColumnId, Answer>>;
  /** The order in which the columns are shown; shuffled where the person judges blind. */
  order: readonly ColumnId[];
  vote: Vote | null;
}

export interface Sampling {
  do_sample: boolean;
  temperature: number;
  top_k: number;
  top_p: number;
  max_new_tokens: number;
  seed: number;
}

export const DEFAULT_SAMPLING: Sampling = {
  do_sample: true,
  temperature: 0.8,
  top_k: 50,
  top_p: 0.95,
  max_new_tokens: 80,
  seed: 1,
};

export const COLUMN_NAMES: Record<ColumnId, string> = {
  base: 'Base',
  prompt: 'Base with a prompt',
  tuned: 'Tuned',
};

let nextGeneration = 1;

/** A conversation held with several speakers at once; each goes on from its own answers. */
export class ChatComparison {
  #turns = $state.raw<readonly Turn[]>([]);
  #columns = $state.raw<readonly ColumnId[]>(['base', 'tuned']);
  #speaking = $state.raw<{ turn: number; column: ColumnId } | null>(null);
  #sampling = $state.raw<Sampling>(DEFAULT_SAMPLING);
  #strength = $state.raw(1);
  #checkpoint = $state.raw<AdapterChoice>(null);
  #blind = $state.raw(false);
  #error = $state.raw('');
  #generation = 0;
  #projectId = '';

  constructor(columns: readonly ColumnId[]) {
    this.#columns = columns;
  }

  get turns(): readonly Turn[] {
    return this.#turns;
  }

  get columns(): readonly ColumnId[] {
    return this.#columns;
  }

  get speaking(): { turn: number; column: ColumnId } | null {
    return this.#speaking;
  }

  get sampling(): Sampling {
    return this.#sampling;
  }

  get strength(): number {
    return this.#strength;
  }

  get checkpoint(): AdapterChoice {
    return this.#checkpoint;
  }

  get blind(): boolean {
    return this.#blind;
  }

  get error(): string {
    return this.#error;
  }

  setColumns(columns: readonly ColumnId[]): void {
    this.#columns = columns;
  }

  setSampling(fields: Partial<Sampling>): void {
    this.#sampling = { ...this.#sampling, ...fields };
  }

  setStrength(strength: number): void {
    this.#strength = strength;
  }

  setCheckpoint(choice: AdapterChoice): void {
    this.#checkpoint = choice;
  }

  setBlind(blind: boolean): void {
    this.#blind = blind;
  }

  /** Empties the conversation; it can be brought back. */
  clear(): void {
    const turns = this.#turns;
    if (turns.length === 0) return;
    this.stop();
    this.#turns = [];
    announcer.show('The conversation was cleared.', {
      action: {
        label: 'Undo',
        run: () => {
          this.#turns = turns;
        },
      },
    });
  }

  /** Begins anew for another project; the same one finds its conversation as it was. */
  open(projectId: string): void {
    if (this.#projectId === projectId) return;
    this.#projectId = projectId;
    this.stop();
    this.#turns = [];
    this.#error = '';
    this.#checkpoint = null;
  }

  stop(): void {
    if (this.#generation > 0) void modelWorker().cancel(this.#generation);
    this.#generation = 0;
  }

  #messages(column: ColumnId, turn: number): Message[] {
    const messages: Message[] = [];
    const background = openProject.project?.ask.background.trim() ?? '';
    if (column === 'prompt' && background !== '') messages.push({ role: 'system', content: background });
    this.#turns.slice(0, turn + 1).forEach((past, i) => {
      messages.push({ role: 'user', content: past.user });
      const answer = past.answers[column];
      if (i < turn && answer) messages.push({ role: 'assistant', content: answer.text });
    });
    return messages;
  }

  #request(column: ColumnId, turn: number, seed: number): Omit<GenerateRequest, 'signal'> {
    const { do_sample, temperature, top_k, top_p, max_new_tokens } = this.#sampling;
    const chat = voiceInfo(openProject.project?.baseId ?? null)?.hasChatTemplate ?? true;
    const background = column === 'prompt' ? (openProject.project?.ask.background.trim() ?? '') : '';
    return {
      ...(chat
        ? { messages: this.#messages(column, turn) }
        : { prompt: (background === '' ? '' : `${background}\n\n`) + (this.#turns[turn]?.user ?? '') }),
      max_new_tokens,
      do_sample,
      seed,
      strength: column === 'tuned' ? this.#strength : 0,
      ...(do_sample ? { temperature, top_k, top_p } : {}),
    };
  }

  /** Lets every column answer, one after the other, on the same seed. */
  async send(text: string): Promise<void> {
    const { project } = openProject;
    const user = text.trim();
    if (user === '' || this.#speaking || !project?.baseId) return;
    this.#error = '';
    if (!(await bases.load(project.baseId))) {
      this.#error = bases.error;
      return;
    }
    const turn = this.#turns.length;
    const seed = this.#sampling.seed + turn;
    const order = shownOrder(this.#columns, this.#blind);
    this.#turns = [...this.#turns, { user, seed, answers: {}, order, vote: null }];
    try {
      for (const column of this.#columns) {
        if (!(await this.#speak(project.baseId, column, turn, seed))) break;
      }
      const answered = this.#turns[turn]?.answers ?? {};
      announcer.say(
        order
          .map(
            (column, i) =>
              `${this.#blind ? `Answer ${i + 1}` : COLUMN_NAMES[column]}: ${answered[column]?.text ?? 'none'}`,
          )
          .join('. '),
      );
    } catch (error) {
      this.#error = errorMessage(error);
      // Where nobody answered, the question goes back into the box.
      if (Object.keys(this.#turns[turn]?.answers ?? {}).length === 0) this.#turns = this.#turns.slice(0, turn);
    } finally {
      this.#speaking = null;
      this.#generation = 0;
    }
  }

  async #speak(baseId: string, column: ColumnId, turn: number, seed: number): Promise<boolean> {
    const id = nextGeneration++;
    this.#generation = id;
    this.#speaking = { turn, column };
    let said = '';
    let done = false;
    const put = (text: string): void => {
      this.#turns = this.#turns.map((past, i) =>
        i === turn ? { ...past, answers: { ...past.answers, [column]: { text, done } } } : past,
      );
    };
    // Strength 0 is the base alone, so the adapter need not be taken out and put in again.
    const request = this.#request(column, turn, seed);
    const { whole } = await modelWorker().generate(
      { id, task: 'voice', baseId, adapter: this.#checkpoint, request },
      callback(({ text }: GenerateChunk) => {
        said += text;
        put(said);
      }),
    );
    done = true;
    put(said);
    this.#speaking = null;
    return whole;
  }

  /** How the tuned answer compares with the base's. */
  vote(turn: number, vote: Vote): void {
    const past = this.#turns[turn];
    const { project } = openProject;
    if (!past || !project) return;
    openProject.update({ votes: countVote(project.votes, past.vote, vote) });
    this.#turns = this.#turns.map((other, i) => (i === turn ? { ...other, vote } : other));
    announcer.say('Counted.');
  }
}

export const tryChat = new ChatComparison(['base', 'tuned']);
export const askChat = new ChatComparison(['base', 'prompt']);
