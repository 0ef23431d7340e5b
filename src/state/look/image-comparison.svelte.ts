import type { DrawRequest, SchedulerName } from '../../tasks/look/types.ts';
import type { DrawProgress } from '../../worker/look/kind.ts';
import type { AppliedAdapter } from '../../worker/protocol.ts';
import { announcer } from '../announcer.svelte.ts';
import { bases } from '../base.svelte.ts';
import { plural } from '../format.ts';
import type { Compared, Side } from '../sides.ts';
import { openProject } from '../project.svelte.ts';
import { anySeed } from '../seeds.ts';
import { countVote, shownOrder, type Vote } from '../votes.ts';
import { callback, errorMessage, modelWorker } from '../workers.ts';

export interface DrawSettings {
  negative: string;
  seed: number;
  count: number;
  steps: number;
  guidance: number;
  /** Pixels; 0 is what the base was made for. */
  width: number;
  height: number;
  scheduler: SchedulerName;
  karras: boolean;
}

export const DEFAULT_DRAWING: DrawSettings = {
  negative: '',
  seed: 1,
  count: 1,
  steps: 25,
  guidance: 7,
  width: 0,
  height: 0,
  scheduler: 'DPMSolverMultistepScheduler',
  karras: false,
};

export interface DrawnPicture {
  seed: number;
  png: Blob;
  width: number;
  height: number;
}

/** One prompt as it was drawn by each hand. */
export interface Drawing extends Compared {
  settings: DrawSettings;
  /** It is of somebody else's making: no vote on what was taught here. */
  given: boolean;
  /** Picture i of each hand is of the same seed. */
  pictures: Record<Side, readonly DrawnPicture[]>;
}

export interface DrawingProgress {
  hand: Side;
  fraction: number;
  /** NaN until it can be told. */
  secondsLeft: number;
  detail: string;
}

/** Drawings that stay in memory; older ones go, for each may be some megabytes. */
const MOST_DRAWINGS = 24;
let nextDrawing = 1;

/** Prompts drawn by the base and by what it has become, on the same seeds. */
export class ImageComparison {
  readonly #hands: readonly Side[];
  #projectId = '';
  #prompt = $state.raw('');
  #settings = $state.raw<DrawSettings>(DEFAULT_DRAWING);
  #strength = $state.raw(1);
  #choice = $state.raw<AppliedAdapter>(null);
  #given = $state.raw<readonly File[]>([]);
  #blind = $state.raw(false);
  #drawings = $state.raw<readonly Drawing[]>([]);
  #progress = $state.raw<DrawingProgress | null>(null);
  #error = $state.raw('');
  #running = 0;
  /** What the base drew is the same as long as nothing but the adapter changes. */
  #drawnByBase: Record<string, readonly DrawnPicture[]> = {};

  constructor(hands: readonly Side[]) {
    this.#hands = hands;
  }

  get prompt(): string {
    return this.#prompt;
  }

  get settings(): DrawSettings {
    return this.#settings;
  }

  get strength(): number {
    return this.#strength;
  }

  /** What the tuned hand has learnt: a checkpoint, or a file from elsewhere; null where there is only the base. */
  get choice(): AppliedAdapter {
    return this.#choice;
  }

  /** Files from elsewhere that were added in this visit. */
  get given(): readonly File[] {
    return this.#given;
  }

  get blind(): boolean {
    return this.#blind;
  }

  /** The newest first. */
  get drawings(): readonly Drawing[] {
    return this.#drawings;
  }

  get progress(): DrawingProgress | null {
    return this.#progress;
  }

  get error(): string {
    return this.#error;
  }

  setPrompt(prompt: string): void {
    this.#prompt = prompt;
  }

  set(fields: Partial<DrawSettings>): void {
    this.#settings = { ...this.#settings, ...fields };
  }

  dice(): void {
    this.set({ seed: anySeed() });
  }

  setStrength(strength: number): void {
    this.#strength = strength;
  }

  choose(choice: AppliedAdapter): void {
    this.#choice = choice;
  }

  /** Adds an image LoRA from elsewhere, and draws with it next. */
  addGiven(file: File): void {
    this.#given = [...this.#given.filter(({ name }) => name !== file.name), file];
    this.#choice = { given: file };
  }

  setBlind(blind: boolean): void {
    this.#blind = blind;
  }

  #dropGiven(): void {
    const choice = this.#choice;
    if (!choice || !('given' in choice)) return;
    this.#given = this.#given.filter((file) => file !== choice.given);
    this.#choice = null;
  }

  /** Begins anew for another project; the same one finds its drawings as they were. */
  open(projectId: string, prompt: string): void {
    if (this.#projectId === projectId) return;
    this.#projectId = projectId;
    this.stop();
    this.#drawings = [];
    this.#drawnByBase = {};
    this.#error = '';
    this.#choice = null;
    this.#given = [];
    this.#prompt = prompt;
    // As the samples along the way were drawn.
    this.#settings = { ...DEFAULT_DRAWING, guidance: openProject.recipe.sample_guidance_scale };
  }

  stop(): void {
    if (this.#running > 0) void modelWorker().cancel(this.#running);
  }

  #request(prompt: string, settings: DrawSettings, strength: number): Omit<DrawRequest, 'signal'> {
    return {
      prompt,
      ...(settings.negative.trim() === '' ? {} : { negative_prompt: settings.negative.trim() }),
      scheduler: settings.scheduler,
      use_karras_sigmas: settings.karras,
      num_inference_steps: settings.steps,
      guidance_scale: settings.guidance,
      ...(settings.width > 0 && settings.height > 0 ? { width: settings.width, height: settings.height } : {}),
      num_images: settings.count,
      seed: settings.seed,
      strength,
    };
  }

  /** Draws the prompt with each hand on the same seeds. */
  async draw(moment: string): Promise<void> {
    const { project } = openProject;
    const prompt = this.#prompt.trim();
    if (prompt === '' || this.#progress || !project?.baseId) return;
    this.#error = '';
    const { baseId } = project;
    const hands = this.#hands.filter((hand) => hand === 'base' || this.#choice !== null);
    const given = this.#choice !== null && 'given' in this.#choice;
    const blind = this.#blind && hands.length > 1 && !given;
    const order = shownOrder(hands, blind);
    const drawing: Drawing = {
      id: nextDrawing++,
      prompt,
      settings: this.#settings,
      strength: this.#strength,
      moment,
      given,
      hands,
      pictures: { base: [], tuned: [] },
      order,
      blind,
      vote: null,
    };
    this.#progress = { hand: 'base', fraction: 0, secondsLeft: NaN, detail: '' };
    try {
      if (!(await bases.load(baseId))) throw new Error(bases.error);
      this.#drawings = [drawing, ...this.#drawings].slice(0, MOST_DRAWINGS);
      for (const hand of hands) if (!(await this.#drawWith(hand, baseId, drawing))) break;
      announcer.say(`Drawn: ${prompt}.`);
    } catch (error) {
      this.#error = bases.error || errorMessage(error);
      const drawn = this.#drawings.find(({ id }) => id === drawing.id)?.pictures;
      // A file that could not be put beside the base would stand in the way of the next drawing.
      if (drawn && drawn.base.length + drawn.tuned.length === 0) this.#dropGiven();
    } finally {
      this.#progress = null;
      this.#running = 0;
      // Where nothing was drawn there is nothing to show.
      this.#drawings = this.#drawings.filter(({ pictures }) => pictures.base.length + pictures.tuned.length > 0);
    }
  }

  #put(drawing: Drawing, hand: Side, pictures: readonly DrawnPicture[]): void {
    this.#drawings = this.#drawings.map((one) =>
      one.id === drawing.id ? { ...one, pictures: { ...one.pictures, [hand]: pictures } } : one,
    );
  }

  /** False where it was stopped. */
  async #drawWith(hand: Side, baseId: string, drawing: Drawing): Promise<boolean> {
    const { prompt, settings } = drawing;
    // Strength 0 is the base alone, so the adapter need not be taken out and put in again.
    const request = this.#request(prompt, settings, hand === 'base' ? 0 : drawing.strength);
    const key = `${baseId} ${JSON.stringify(request)}`;
    const known = hand === 'base' ? this.#drawnByBase[key] : undefined;
    if (known) {
      this.#put(drawing, hand, known);
      return true;
    }
    const id = nextDrawing++;
    this.#running = id;
    const began = performance.now();
    const drawn: DrawnPicture[] = [];
    const { whole } = await modelWorker().generate(
      { id, task: 'look', baseId, adapter: this.#choice, request },
      callback((event: DrawProgress) => {
        // Events may come after the answer of the call.
        if (this.#running !== id) return;
        if (event.type === 'image') {
          const { seed, width, height } = event;
          drawn.push({ seed, width, height, png: new Blob([event.png], { type: 'image/png' }) });
          this.#put(drawing, hand, [...drawn]);
          return;
        }
        const { done, total, image } = event;
        const each = (performance.now() - began) / 1000 / Math.max(1, done);
        const coming = hand === 'base' && drawing.hands.length > 1 ? total : 0;
        this.#progress = {
          hand,
          fraction: done / Math.max(1, total),
          secondsLeft: done > 1 ? each * (total - done + coming) : NaN,
          detail: `step ${done} of ${total}${settings.count > 1 ? `, picture ${image + 1} of ${settings.count}` : ''}`,
        };
      }),
    );
    if (whole && hand === 'base') this.#drawnByBase[key] = drawn;
    return whole;
  }

  /** How the tuned pictures compare with the base's. */
  vote(id: number, vote: Vote): void {
    const drawing = this.#drawings.find((one) => one.id === id);
    const { project } = openProject;
    if (!drawing || !project) return;
    openProject.update({ votes: countVote(project.votes, drawing.vote, vote) });
    this.#drawings = this.#drawings.map((one) => (one.id === id ? { ...one, vote } : one));
    announcer.say('Counted.');
  }

  /** Takes all drawings away; they can be brought back. */
  clear(): void {
    const drawings = this.#drawings;
    if (drawings.length === 0) return;
    this.#drawings = [];
    announcer.show(`${plural(drawings.length, 'drawing')} cleared away.`, {
      action: {
        label: 'Undo',
        run: () => {
          this.#drawings = [...this.#drawings, ...drawings];
        },
      },
    });
  }
}

export const tryImages = new ImageComparison(['base', 'tuned']);
export const askImages = new ImageComparison(['base']);
