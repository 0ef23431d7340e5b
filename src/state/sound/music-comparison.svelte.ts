import { joinedChannels } from '../../datasets/sound/mix.ts';
import type { ComposeProgress, ComposeRequest } from '../../tasks/sound/types.ts';
import type { AdapterChoice } from '../../worker/protocol.ts';
import { encodeWav } from '../../worker/wav.ts';
import { announcer } from '../announcer.svelte.ts';
import { bases } from '../base.svelte.ts';
import { soundInfo } from './info.ts';
import { plural } from '../format.ts';
import type { Compared, Side } from '../sides.ts';
import { StreamPlayback } from './stream-playback.ts';
import { audioPlayback } from './audio-playback.svelte.ts';
import { openProject } from '../project.svelte.ts';
import { anySeed } from '../seeds.ts';
import { countVote, shownOrder, type Vote } from '../votes.ts';
import { callback, errorMessage, modelWorker } from '../workers.ts';

export interface ComposeSettings {
  seed: number;
  seconds: number;
  guidance: number;
  topK: number;
  temperature: number;
}

export const DEFAULT_COMPOSING: ComposeSettings = { seed: 1, seconds: 8, guidance: 3, topK: 250, temperature: 1 };

/** One prompt as it was composed by each hand, on the same seed. */
export interface Composition extends Compared {
  settings: ComposeSettings;
  /** WAV; null until it is composed, or where it was stopped before its first piece. */
  sounds: Record<Side, Blob | null>;
}

export interface ComposingProgress {
  hand: Side;
  fraction: number;
  /** NaN until it can be told. */
  secondsLeft: number;
  /** Seconds of sound that are there. */
  there: number;
  /** It is heard already. */
  heard: boolean;
}

/** Compositions that stay in memory; older ones go, for each may be some megabytes. */
const MOST_COMPOSITIONS = 24;
let nextComposition = 1;

/** Prompts composed by the base and by what it has become, on the same seed. */
export class MusicComparison {
  readonly #hands: readonly Side[];
  #projectId = '';
  #prompt = $state.raw('');
  #settings = $state.raw<ComposeSettings>(DEFAULT_COMPOSING);
  #strength = $state.raw(1);
  #choice = $state.raw<AdapterChoice>(null);
  #blind = $state.raw(false);
  #aloud = $state.raw(true);
  #compositions = $state.raw<readonly Composition[]>([]);
  #progress = $state.raw<ComposingProgress | null>(null);
  #error = $state.raw('');
  #running = 0;
  #pieces: StreamPlayback | null = null;
  /** What the base composed is the same as long as nothing but the adapter changes. */
  #byBase: Record<string, Blob> = {};

  constructor(hands: readonly Side[]) {
    this.#hands = hands;
  }

  get prompt(): string {
    return this.#prompt;
  }

  get settings(): ComposeSettings {
    return this.#settings;
  }

  get strength(): number {
    return this.#strength;
  }

  /** The checkpoint that the tuned hand has learnt; null where there is only the base. */
  get choice(): AdapterChoice {
    return this.#choice;
  }

  get blind(): boolean {
    return this.#blind;
  }

  /** It is played while it is composed, where that is fast enough. */
  get aloud(): boolean {
    return this.#aloud;
  }

  /** The newest first. */
  get compositions(): readonly Composition[] {
    return this.#compositions;
  }

  get progress(): ComposingProgress | null {
    return this.#progress;
  }

  get error(): string {
    return this.#error;
  }

  setPrompt(prompt: string): void {
    this.#prompt = prompt;
  }

  set(fields: Partial<ComposeSettings>): void {
    this.#settings = { ...this.#settings, ...fields };
  }

  dice(): void {
    this.set({ seed: anySeed() });
  }

  setStrength(strength: number): void {
    this.#strength = strength;
  }

  choose(choice: AdapterChoice): void {
    this.#choice = choice;
  }

  setBlind(blind: boolean): void {
    this.#blind = blind;
  }

  setAloud(aloud: boolean): void {
    this.#aloud = aloud;
    if (!aloud) this.#hush();
  }

  /** Begins anew for another project; the same one finds its compositions as they were. */
  open(projectId: string, prompt: string): void {
    if (this.#projectId === projectId) return;
    this.#projectId = projectId;
    this.stop();
    this.#compositions = [];
    this.#byBase = {};
    this.#error = '';
    this.#choice = null;
    this.#prompt = prompt;
    this.#settings = DEFAULT_COMPOSING;
  }

  /** What the base itself proposes takes the place of what was never changed. */
  adopt(): void {
    const info = soundInfo(openProject.project?.baseId ?? null);
    if (!info) return;
    const { guidance_scale: guidance, top_k: topK, temperature } = info.generation;
    const before = this.#settings;
    const untouched = <K extends keyof ComposeSettings>(name: K): boolean => before[name] === DEFAULT_COMPOSING[name];
    this.set({
      ...(untouched('guidance') ? { guidance } : {}),
      ...(untouched('topK') ? { topK } : {}),
      ...(untouched('temperature') ? { temperature } : {}),
      seconds: Math.min(before.seconds, info.longestSeconds),
    });
  }

  stop(): void {
    this.#hush();
    if (this.#running > 0) void modelWorker().cancel(this.#running);
  }

  #hush(): void {
    this.#pieces?.stop();
    this.#pieces = null;
  }

  #request(prompt: string, settings: ComposeSettings, strength: number): Omit<ComposeRequest, 'signal'> {
    return {
      prompt,
      seconds: settings.seconds,
      seed: settings.seed,
      guidance_scale: settings.guidance,
      top_k: settings.topK,
      temperature: settings.temperature,
      strength,
    };
  }

  /** Composes the prompt with each hand on the same seed. */
  async compose(moment: string): Promise<void> {
    const { project } = openProject;
    const prompt = this.#prompt.trim();
    if (prompt === '' || this.#progress || !project?.baseId) return;
    this.#error = '';
    audioPlayback.silence();
    const { baseId } = project;
    const hands = this.#hands.filter((hand) => hand === 'base' || this.#choice !== null);
    const blind = this.#blind && hands.length > 1;
    const composition: Composition = {
      id: nextComposition++,
      prompt,
      settings: this.#settings,
      strength: this.#strength,
      moment,
      hands,
      sounds: { base: null, tuned: null },
      order: shownOrder(hands, blind),
      blind,
      vote: null,
    };
    this.#progress = { hand: 'base', fraction: 0, secondsLeft: NaN, there: 0, heard: false };
    try {
      if (!(await bases.load(baseId))) throw new Error(bases.error);
      this.#compositions = [composition, ...this.#compositions].slice(0, MOST_COMPOSITIONS);
      // Shown in another order, they are made in another one too: what is heard first says nothing.
      for (const hand of composition.order) if (!(await this.#composeWith(hand, baseId, composition))) break;
      announcer.say(`Composed: ${prompt}.`);
    } catch (error) {
      this.#hush();
      this.#error = bases.error || errorMessage(error);
    } finally {
      this.#progress = null;
      this.#running = 0;
      // Where nothing was composed there is nothing to hear.
      this.#compositions = this.#compositions.filter(({ sounds }) => sounds.base !== null || sounds.tuned !== null);
    }
  }

  #put(composition: Composition, hand: Side, sound: Blob): void {
    this.#compositions = this.#compositions.map((one) =>
      one.id === composition.id ? { ...one, sounds: { ...one.sounds, [hand]: sound } } : one,
    );
  }

  /** False where it was stopped. */
  async #composeWith(hand: Side, baseId: string, composition: Composition): Promise<boolean> {
    const { prompt, settings } = composition;
    // Strength 0 is the base alone, so the adapter need not be taken out and put in again.
    const request = this.#request(prompt, settings, hand === 'base' ? 0 : composition.strength);
    const key = `${baseId} ${JSON.stringify(request)}`;
    const known = hand === 'base' ? this.#byBase[key] : undefined;
    if (known) {
      this.#put(composition, hand, known);
      return true;
    }
    const id = nextComposition++;
    this.#running = id;
    const began = performance.now();
    const pieces: Float32Array<ArrayBuffer>[][] = [];
    let sampleRate = 0;
    let length = 0;
    this.#hush();
    // Of two, the second would be heard over the first.
    const stream =
      this.#aloud && hand === composition.order[0]
        ? new StreamPlayback(settings.seconds, (stop) => audioPlayback.join(stop))
        : null;
    this.#pieces = stream;
    this.#progress = { hand, fraction: 0, secondsLeft: NaN, there: 0, heard: false };
    const { whole } = await modelWorker().generate(
      { id, task: 'sound', baseId, adapter: this.#choice, request },
      callback((event: ComposeProgress) => {
        // Events may come after the answer of the call.
        if (this.#running !== id || !this.#progress) return;
        if (event.type === 'piece') {
          ({ sampleRate } = event);
          pieces.push(event.channels);
          length = event.from + (event.channels[0]?.length ?? 0);
          stream?.push(event.from, event.channels, sampleRate);
          this.#progress = { ...this.#progress, there: length / sampleRate, heard: stream?.heard ?? false };
          return;
        }
        const { done, total } = event;
        const each = (performance.now() - began) / 1000 / Math.max(1, done);
        const coming = composition.order.indexOf(hand) < composition.order.length - 1 ? total : 0;
        this.#progress = {
          ...this.#progress,
          fraction: done / Math.max(1, total),
          secondsLeft: done > 1 ? each * (total - done + coming) : NaN,
        };
      }),
    );
    if (length > 0) {
      const sound = encodeWav(joinedChannels(pieces), sampleRate);
      this.#put(composition, hand, sound);
      if (whole && hand === 'base') this.#byBase[key] = sound;
    }
    return whole;
  }

  /** How the tuned sound compares with the base's. */
  vote(id: number, vote: Vote): void {
    const composition = this.#compositions.find((one) => one.id === id);
    const { project } = openProject;
    if (!composition || !project) return;
    openProject.update({ votes: countVote(project.votes, composition.vote, vote) });
    this.#compositions = this.#compositions.map((one) => (one.id === id ? { ...one, vote } : one));
    announcer.say('Counted.');
  }

  /** Takes all compositions away; they can be brought back. */
  clear(): void {
    const compositions = this.#compositions;
    if (compositions.length === 0) return;
    this.#compositions = [];
    announcer.show(`${plural(compositions.length, 'composition')} cleared away.`, {
      action: {
        label: 'Undo',
        run: () => {
          this.#compositions = [...this.#compositions, ...compositions];
        },
      },
    });
  }
}

export const tryMusic = new MusicComparison(['base', 'tuned']);
export const askMusic = new MusicComparison(['base']);
