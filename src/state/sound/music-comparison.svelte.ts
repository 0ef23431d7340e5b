import { joinedChannels } from '../../datasets/sound/mix.ts';
import type { ComposeProgress, ComposeRequest as WholeRequest } from '../../tasks/sound/types.ts';
import { encodeWav } from '../../worker/wav.ts';
import { Comparison, type Job } from '../comparison.svelte.ts';
import { plural } from '../format.ts';
import { openProject } from '../project.svelte.ts';
import type { Compared, Side } from '../sides.ts';
import { callback, modelWorker } from '../workers.ts';
import { audioPlayback } from './audio-playback.svelte.ts';
import { soundInfo } from './info.ts';
import { StreamPlayback } from './stream-playback.ts';

export interface ComposeSettings {
  seed: number;
  seconds: number;
  guidance: number;
  topK: number;
  temperature: number;
}

export const DEFAULT_COMPOSING: ComposeSettings = { seed: 1, seconds: 8, guidance: 3, topK: 250, temperature: 1 };

/** One prompt as it was composed by each side, on the same seed: a WAV each. */
export type Composition = Compared<ComposeSettings, Blob>;
type ComposeRequest = Omit<WholeRequest, 'signal'>;

/** Prompts composed by the base and by what it has become, on the same seed. */
export class MusicComparison extends Comparison<ComposeSettings, ComposeRequest, Blob> {
  // Each may be some megabytes.
  protected readonly most = 24;
  #aloud = $state.raw(true);
  #stream: StreamPlayback | null = null;

  /** It is played while it is composed, where that is fast enough. */
  get aloud(): boolean {
    return this.#aloud;
  }

  setAloud(aloud: boolean): void {
    this.#aloud = aloud;
    if (!aloud) this.#stopPlayback();
  }

  protected defaults(): ComposeSettings {
    return DEFAULT_COMPOSING;
  }

  /** What the base itself proposes takes the place of what was never changed. */
  protected override adopt(): void {
    const info = soundInfo(openProject.project?.baseId ?? null);
    if (!info) return;
    const { guidance_scale: guidance, top_k: topK, temperature } = info.generation;
    const before = this.settings;
    const untouched = <K extends keyof ComposeSettings>(name: K): boolean => before[name] === DEFAULT_COMPOSING[name];
    this.set({
      ...(untouched('guidance') ? { guidance } : {}),
      ...(untouched('topK') ? { topK } : {}),
      ...(untouched('temperature') ? { temperature } : {}),
      seconds: Math.min(before.seconds, info.longestSeconds),
    });
  }

  protected request({ prompt, settings, strength }: Composition, side: Side): ComposeRequest {
    return {
      prompt,
      seconds: settings.seconds,
      seed: settings.seed,
      guidance_scale: settings.guidance,
      top_k: settings.topK,
      temperature: settings.temperature,
      // Strength 0 is the base alone, so the adapter need not be taken out and put in again.
      strength: side === 'base' ? 0 : strength,
    };
  }

  override async make(): Promise<boolean> {
    if (!this.progress) audioPlayback.silence();
    return super.make();
  }

  override stop(): void {
    this.#stopPlayback();
    super.stop();
  }

  #stopPlayback(): void {
    this.#stream?.stop();
    this.#stream = null;
  }

  protected async answer(job: Job<ComposeRequest, Blob>): Promise<{ whole: boolean }> {
    const { seconds } = job.request;
    const pieces: Float32Array<ArrayBuffer>[][] = [];
    let sampleRate = 0;
    let length = 0;
    let [done, total] = [0, 0];
    const stream = this.#aloud && job.aloud ? new StreamPlayback(seconds, (stop) => audioPlayback.join(stop)) : null;
    if (stream) this.#stream = stream;
    try {
      const { whole } = await modelWorker().generate(
        { id: job.id, task: 'sound', baseId: job.baseId, adapter: job.choice, request: job.request },
        callback((event: ComposeProgress) => {
          if (event.type === 'piece') {
            ({ sampleRate } = event);
            pieces.push(event.channels);
            length = event.from + (event.channels[0]?.length ?? 0);
            stream?.push(event.from, event.channels, sampleRate);
          } else {
            ({ done, total } = event);
          }
          const there = length > 0 ? `${(length / sampleRate).toFixed(1)} of ${seconds} s are there` : '';
          job.report(done, total, [there, stream?.heard ? 'it plays' : '']);
        }),
      );
      if (length > 0) job.show(encodeWav(joinedChannels(pieces), sampleRate));
      return { whole };
    } catch (error) {
      this.#stopPlayback();
      throw error;
    }
  }

  protected madeLine({ prompt }: Composition): string {
    return `Composed: ${prompt}.`;
  }

  protected clearedLine(count: number): string {
    return `${plural(count, 'composition')} cleared away.`;
  }
}

export const tryMusic = new MusicComparison(['base', 'tuned']);
export const askMusic = new MusicComparison(['base']);
