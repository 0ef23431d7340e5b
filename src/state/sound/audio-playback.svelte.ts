import { errorMessage } from '../workers.ts';

/** What is heard through the page's one player: by its key, so that whoever shows it knows its own. */
class Player {
  #audio: HTMLAudioElement | null = null;
  #url = '';
  #key = $state.raw('');
  #opening = $state.raw(false);
  #seconds = $state.raw(0);
  #error = $state.raw('');
  /** Other players of the page, which fall silent when one begins. */
  readonly #others = new Set<() => void>();

  /** What plays, or is about to; '' where nothing does. */
  get key(): string {
    return this.#key;
  }

  /** It is still being made ready. */
  get opening(): boolean {
    return this.#opening;
  }

  /** How far it is. */
  get seconds(): number {
    return this.#seconds;
  }

  get error(): string {
    return this.#error;
  }

  /** Plays what `open` gives; the same key again stops it. */
  async toggle(key: string, open: () => Promise<Blob>): Promise<void> {
    if (this.#key === key) this.stop();
    else await this.play(key, open);
  }

  async play(key: string, open: () => Promise<Blob>): Promise<void> {
    this.silence();
    this.#error = '';
    this.#key = key;
    this.#opening = true;
    try {
      const blob = await open();
      // Something else was chosen meanwhile.
      if (this.#key !== key) return;
      this.#url = URL.createObjectURL(blob);
      const audio = new Audio(this.#url);
      this.#audio = audio;
      audio.addEventListener('ended', () => this.#audio === audio && this.stop());
      await audio.play();
      this.#follow(audio);
    } catch (error) {
      // Stopped before it began: no failure.
      if (this.#key !== key) return;
      this.#error = errorMessage(error);
      this.stop();
    } finally {
      if (this.#key === key) this.#opening = false;
    }
  }

  #follow(audio: HTMLAudioElement): void {
    if (this.#audio !== audio) return;
    this.#seconds = audio.currentTime;
    requestAnimationFrame(() => this.#follow(audio));
  }

  stop(): void {
    this.#audio?.pause();
    this.#audio = null;
    if (this.#url !== '') URL.revokeObjectURL(this.#url);
    this.#url = '';
    this.#key = '';
    this.#opening = false;
    this.#seconds = 0;
  }

  /** Stops everything that is heard anywhere in the page. */
  silence(except?: () => void): void {
    this.stop();
    for (const stop of this.#others) if (stop !== except) stop();
  }

  /** Lets another player be silenced; returns how it leaves. */
  join(stop: () => void): () => void {
    this.#others.add(stop);
    return () => this.#others.delete(stop);
  }
}

export const audioPlayback = new Player();
