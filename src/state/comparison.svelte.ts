import { UserError } from '../common/errors.ts';
import { announcer } from './announcer.svelte.ts';
import { bases } from './base.svelte.ts';
import { KeptResults } from './kept-results.ts';
import { givenKey, offersOf, tunedLabel, type Choice, type Offer } from './offers.ts';
import { openProject } from './project.svelte.ts';
import { anySeed } from './seeds.ts';
import { isBlinded, type Compared, type Side } from './sides.ts';
import { training } from './training.svelte.ts';
import { countVote, NO_VOTES, shuffled, type Vote } from './votes.ts';
import { errorMessage, modelWorker } from './workers.ts';

export interface Progress {
  /** Who is at work; null where the person judges blind. */
  side: Side | null;
  /** 0 to 1: of this side, or of all where the person judges blind. */
  fraction: number;
  /** Until all sides are through; NaN until it can be told. */
  secondsLeft: number;
  /** Said beside it; empty ones are not. */
  details: readonly string[];
}

/** What one side is asked for, and where its results go. */
export interface Job<Request, Result> {
  /** Names it for the worker. */
  readonly id: number;
  readonly baseId: string;
  readonly choice: Choice;
  readonly request: Request;
  /** What comes may be heard while it is made: it is the first, and nobody judges blind. */
  readonly aloud: boolean;
  /** What is there so far; the last is the whole. */
  show: (result: Result) => void;
  /** Steps done of all, and what is said beside them. */
  report: (done: number, total: number, details: readonly string[]) => void;
}

/** A comparison in the making. */
interface Making<Settings, Result> {
  readonly one: Compared<Settings, Result>;
  readonly choice: Choice;
  /** The running job's id; 0 between two. */
  job: number;
  /** It stands among what was made. */
  listed: boolean;
  stopped: boolean;
  /** Another project was opened: nothing of it is wanted any more. */
  dropped: boolean;
  /** What waits to be shown until all sides are through; null where it is shown as it comes. */
  readonly held: Partial<Record<Side, Result>> | null;
}

/** Answers of the base that are kept in case the same is asked again. */
const MOST_KEPT = 24;
/** Across all comparisons: the worker knows jobs by these. */
let nextId = 1;

/**
 * Prompts put to the base and to what it has become, on the same seeds. A kind says what its settings are, how a request
 * is made of them, and how the worker answers it; requests and results are nothing but handed on here.
 *
 * Judging blind: which column is whose must not be told by order, time or words.
 * - Nothing is shown or heard before all sides are through, and then all of it at once.
 * - Everything is made anew: what the base made before would come sooner. Base and tuned run through the same programs, at
 *   strength 0 and at the chosen one, and so take as long for as much.
 * - Chance decides the order of making, and independently of it the order of showing. Were the two the same, whoever knows
 *   that one side is slower could read the columns off the progress; so even the whole course of the making says nothing.
 * - Until then one progress stands for all sides; names, marks and file names wait for the vote (sides.ts).
 */
export abstract class Comparison<Settings extends { seed: number }, Request, Result> {
  readonly #possible: readonly Side[];
  readonly #random: () => number;
  #projectId = '';
  #prompt = $state.raw('');
  #settings = $state.raw<Settings>(this.defaults());
  #strength = $state.raw(1);
  #chosen = $state.raw('');
  #given = $state.raw<readonly File[]>([]);
  #blind = $state.raw(false);
  #made = $state.raw<readonly Compared<Settings, Result>[]>([]);
  #progress = $state.raw<Progress | null>(null);
  #error = $state.raw('');
  #making: Making<Settings, Result> | null = null;
  /** What the base made is the same as long as nothing but the adapter changes. By base and request. */
  readonly #ofBase = new KeptResults<Result>(MOST_KEPT);

  /** `possible`: who is compared, where it can be. `random` gives numbers in [0, 1). */
  constructor(possible: readonly Side[], random: () => number = Math.random) {
    this.#possible = possible;
    this.#random = random;
  }

  /** What is set before the person sets anything. */
  protected abstract defaults(): Settings;
  /** What a side is asked for. `before`: everything that was made earlier, the oldest first. */
  protected abstract request(
    one: Compared<Settings, Result>,
    side: Side,
    before: readonly Compared<Settings, Result>[],
  ): Request;
  /** Asks the worker; `whole` where it ended by itself. */
  protected abstract answer(job: Job<Request, Result>): Promise<{ whole: boolean }>;
  /** Said to screen readers when it is made. */
  protected abstract madeLine(one: Compared<Settings, Result>): string;
  /** Said when so many were cleared away. */
  protected abstract clearedLine(count: number): string;
  /** Comparisons that stay in memory; older ones go. */
  protected abstract readonly most: number;

  /** It can be judged. */
  protected isEnough(_result: Result, _settings: Settings): boolean {
    return true;
  }

  /** Takes over what the loaded base itself proposes. */
  protected adopt(): void {
    // Most bases propose nothing.
  }

  /** Who is compared next. */
  protected sides(): readonly Side[] {
    return this.#possible.filter((side) => side !== 'tuned' || this.choice !== null);
  }

  /** The project that it was opened for. */
  protected get projectId(): string {
    return this.#projectId;
  }

  get prompt(): string {
    return this.#prompt;
  }

  get settings(): Settings {
    return this.#settings;
  }

  get strength(): number {
    return this.#strength;
  }

  get blind(): boolean {
    return this.#blind;
  }

  /** The oldest first. */
  get made(): readonly Compared<Settings, Result>[] {
    return this.#made;
  }

  /** Null where it rests. */
  get progress(): Progress | null {
    return this.#progress;
  }

  get error(): string {
    return this.#error;
  }

  /** What the tuned side can have learnt: what was taught on the project's base, the newest first, then files from elsewhere. */
  get offers(): readonly Offer[] {
    if (!this.#possible.includes('tuned')) return [];
    const taught = training.checkpointsOn(openProject.project?.baseId ?? null);
    return offersOf(taught, training.run?.id, this.#given);
  }

  /** The one that was chosen as long as it is offered, else the first; without any, the base is alone. */
  get offer(): Offer | null {
    const { offers } = this;
    return offers.find(({ key }) => key === this.#chosen) ?? offers[0] ?? null;
  }

  get choice(): Choice {
    return this.offer?.choice ?? null;
  }

  setPrompt(prompt: string): void {
    this.#prompt = prompt;
  }

  set(fields: Partial<Settings>): void {
    this.#settings = { ...this.#settings, ...fields };
  }

  dice(): void {
    this.#settings = { ...this.#settings, seed: anySeed() };
  }

  setStrength(strength: number): void {
    this.#strength = strength;
  }

  setBlind(blind: boolean): void {
    this.#blind = blind;
  }

  /** Chooses an offer by its key. */
  choose(key: string): void {
    this.#chosen = key;
  }

  /** Offers a file from elsewhere, and chooses it. */
  addGiven(file: File): void {
    this.#given = [...this.#given.filter(({ name }) => name !== file.name), file];
    this.#chosen = givenKey(file);
  }

  /** Begins anew for another project; the same one finds everything as it was. */
  open(projectId: string, prompt = ''): void {
    if (this.#projectId === projectId) return;
    this.stop();
    if (this.#making) this.#making.dropped = true;
    this.#making = null;
    this.#projectId = projectId;
    this.#progress = null;
    this.#made = [];
    this.#ofBase.clear();
    this.#error = '';
    this.#chosen = '';
    this.#given = [];
    this.#prompt = prompt;
    this.#settings = this.defaults();
  }

  /** Loads the project's base, so that the first answer need not wait for it. */
  async prepare(): Promise<void> {
    const baseId = openProject.project?.baseId;
    const projectId = this.#projectId;
    if (baseId && (await bases.load(baseId)) && this.#projectId === projectId) this.adopt();
  }

  stop(): void {
    if (!this.#making) return;
    this.#making.stopped = true;
    if (this.#making.job > 0) void modelWorker().cancel(this.#making.job);
  }

  /** Puts the prompt to every side, one after the other, on the same seeds. False where nothing came of it. */
  async make(): Promise<boolean> {
    const { project } = openProject;
    const prompt = this.#prompt.trim();
    if (prompt === '' || this.#making || !project?.baseId || project.id !== this.#projectId) return false;
    const making = this.#begin(prompt);
    const { one } = making;
    this.#making = making;
    this.#error = '';
    this.#progress = { side: one.blind ? null : one.order[0]!, fraction: 0, secondsLeft: NaN, details: [] };
    try {
      await this.#makeAll(making, project.baseId);
    } catch (error) {
      if (!making.dropped) this.#error = errorMessage(error);
    }
    if (making.dropped) return false;
    this.#making = null;
    this.#progress = null;
    return this.#finish(making);
  }

  #begin(prompt: string): Making<Settings, Result> {
    const sides = this.sides();
    const { offer } = this;
    const votable = sides.includes('base') && sides.includes('tuned') && offer !== null && !('given' in offer.choice);
    const blind = this.#blind && votable;
    const one: Compared<Settings, Result> = {
      id: nextId++,
      prompt,
      settings: this.#settings,
      strength: this.#strength,
      tunedLabel: tunedLabel(offer),
      order: blind ? shuffled(sides, this.#random) : sides,
      blind,
      votable,
      vote: null,
      results: {},
      finished: false,
    };
    return { one, choice: this.choice, job: 0, listed: false, stopped: false, dropped: false, held: blind ? {} : null };
  }

  async #makeAll(making: Making<Settings, Result>, baseId: string): Promise<void> {
    const { one } = making;
    if (!(await bases.load(baseId))) throw new UserError(bases.error);
    if (making.stopped) return;
    const line = one.blind ? shuffled(one.order, this.#random) : one.order;
    // All requests are made at once: they must not differ because something was undone meanwhile.
    const requests = line.map((side) => this.request(one, side, this.#made));
    this.#made = [...this.#made, one].slice(-this.most);
    making.listed = true;
    for (const [place, side] of line.entries()) {
      const whole = await this.#makeOne(making, side, { place, of: line.length }, baseId, requests[place]!);
      if (!whole || making.stopped) return;
    }
  }

  /** False where it was stopped. */
  async #makeOne(
    making: Making<Settings, Result>,
    side: Side,
    { place, of }: { place: number; of: number },
    baseId: string,
    request: Request,
  ): Promise<boolean> {
    const { one, held, choice } = making;
    const key = `${baseId} ${JSON.stringify(request)}`;
    const known = side === 'tuned' || one.blind ? undefined : this.#ofBase.get(key);
    if (known !== undefined) {
      this.#setResults(one.id, { [side]: known });
      return true;
    }
    const id = nextId++;
    making.job = id;
    const began = performance.now();
    let newest: Result | undefined;
    if (!one.blind) this.#progress = { side, fraction: 0, secondsLeft: NaN, details: [] };
    const { whole } = await this.answer({
      id,
      baseId,
      choice,
      request,
      aloud: place === 0 && !one.blind,
      show: (result) => {
        if (making.dropped) return;
        newest = result;
        if (held && this.#making === making) held[side] = result;
        else this.#setResults(one.id, { [side]: result });
      },
      report: (done, total, details) => {
        // Events may come after the answer of the call.
        if (making.job !== id || making.dropped) return;
        const share = done / Math.max(1, total);
        const each = (performance.now() - began) / 1000 / Math.max(1, done);
        this.#progress = {
          side: one.blind ? null : side,
          fraction: one.blind ? (place + share) / of : share,
          secondsLeft: done > 1 ? each * (total - done + total * (of - 1 - place)) : NaN,
          details: one.blind ? [] : details,
        };
      },
    });
    making.job = 0;
    if (whole && !making.dropped && side !== 'tuned' && newest !== undefined && this.isEnough(newest, one.settings)) {
      this.#ofBase.keep(key, newest);
    }
    return whole;
  }

  #change(id: number, change: (one: Compared<Settings, Result>) => Partial<Compared<Settings, Result>>): void {
    this.#made = this.#made.map((one) => (one.id === id ? { ...one, ...change(one) } : one));
  }

  #setResults(id: number, results: Partial<Record<Side, Result>>): void {
    this.#change(id, (one) => ({ results: { ...one.results, ...results } }));
  }

  /** False where nothing came of it. */
  #finish({ one, held, choice, listed }: Making<Settings, Result>): boolean {
    // In one change: what is held shows together.
    this.#change(one.id, ({ results }) => ({ results: { ...results, ...held }, finished: true }));
    const made = this.#made.find(({ id }) => id === one.id);
    // It was cleared away meanwhile.
    if (!made && listed) return true;
    if (!made || Object.keys(made.results).length === 0) {
      this.#made = this.#made.filter(({ id }) => id !== one.id);
      // A file that could not be put beside the base would stand in the way of the next one.
      if (this.#error !== '' && choice && 'given' in choice) {
        this.#given = this.#given.filter((file) => file !== choice.given);
      }
      return false;
    }
    if (this.#error === '') announcer.say(this.madeLine(made));
    return true;
  }

  /** Both are there, and can be judged. */
  isComplete(one: Compared<Settings, Result>): boolean {
    if (!one.finished || !one.votable) return false;
    return one.order.every((side) => {
      const result = one.results[side];
      return result !== undefined && this.isEnough(result, one.settings);
    });
  }

  /** How what was taught compares with the base; it takes the place of an earlier vote on the same. */
  vote(id: number, vote: Vote): void {
    const one = this.#made.find((other) => other.id === id);
    const { project } = openProject;
    if (!one || !this.isComplete(one) || project?.id !== this.#projectId) return;
    openProject.update({ votes: countVote(project.votes, one.vote, vote) });
    this.#change(id, () => ({ vote }));
    announcer.say('Counted.');
  }

  /** Forgets all votes of the project. Names that a vote has told stay told. */
  countAnew(): void {
    openProject.update({ votes: NO_VOTES });
    this.#made = this.#made.map((one) => ({ ...one, vote: null, blind: isBlinded(one) }));
  }

  /** Takes everything away; it can be brought back as long as the project is open. */
  clear(): void {
    if (this.#made.length === 0) return;
    this.stop();
    const projectId = this.#projectId;
    const cleared = this.#made
      .filter(({ results }) => Object.keys(results).length > 0)
      .map((one) => ({ ...one, finished: true }));
    this.#made = [];
    if (cleared.length === 0) return;
    const run = (): void => {
      if (this.#projectId === projectId) this.#made = [...cleared, ...this.#made];
    };
    announcer.show(this.clearedLine(cleared.length), { action: { label: 'Undo', run } });
  }
}
