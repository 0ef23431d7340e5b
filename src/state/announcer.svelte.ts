export interface Toast {
  id: number;
  message: string;
  kind: 'info' | 'error';
  action?: { label: string; run: () => void };
}

/** How long a passing message stays; one with an action stays longer, for it must be reached. */
const STAY_MS = 8_000;
const STAY_WITH_ACTION_MS = 20_000;

/** What the page says besides what it shows: to screen readers, and as passing messages with an undo. */
class Announcer {
  #polite = $state.raw('');
  #toasts = $state.raw<readonly Toast[]>([]);
  #next = 0;

  /** Spoken by screen readers when they are idle. */
  get polite(): string {
    return this.#polite;
  }

  get toasts(): readonly Toast[] {
    return this.#toasts;
  }

  say(message: string): void {
    // The same sentence twice would not be read again; a space that nobody sees makes it another one.
    this.#polite = this.#polite === message ? `${message}\u00a0` : message;
  }

  show(message: string, options: { kind?: Toast['kind']; action?: Toast['action'] } = {}): void {
    const toast: Toast = {
      id: this.#next++,
      message,
      kind: options.kind ?? 'info',
      ...(options.action ? { action: options.action } : {}),
    };
    this.#toasts = [...this.#toasts.slice(-2), toast];
    // Errors stay until they are closed: they say what to do.
    if (toast.kind !== 'error') {
      setTimeout(() => this.close(toast.id), toast.action ? STAY_WITH_ACTION_MS : STAY_MS);
    }
  }

  close(id: number): void {
    this.#toasts = this.#toasts.filter((toast) => toast.id !== id);
  }
}

export const announcer = new Announcer();
