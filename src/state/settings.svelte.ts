import { getSetting, setSetting } from '../storage/projects.ts';
import { announcer } from './announcer.svelte.ts';
import { errorMessage } from './workers.ts';

export type Theme = 'system' | 'light' | 'dark';

interface Values {
  theme: Theme;
  /** Gigabytes of graphics memory as the person told; no browser says it. 0: not told. */
  gpuMemory: number;
  keepAwake: boolean;
  notify: boolean;
}

const DEFAULTS: Values = { theme: 'system', gpuMemory: 0, keepAwake: false, notify: false };
/** The theme is also kept where it can be read before the first paint. */
const THEME_KEY = 'athanor-theme';

function isTheme(value: unknown): value is Theme {
  return value === 'system' || value === 'light' || value === 'dark';
}

/** The person's settings, kept in the database. */
class Settings {
  #values = $state.raw<Values>(DEFAULTS);

  get theme(): Theme {
    return this.#values.theme;
  }

  get gpuMemory(): number {
    return this.#values.gpuMemory;
  }

  get keepAwake(): boolean {
    return this.#values.keepAwake;
  }

  get notify(): boolean {
    return this.#values.notify;
  }

  async load(): Promise<void> {
    const [theme, gpuMemory, keepAwake, notify] = await Promise.all(
      ['theme', 'gpuMemory', 'keepAwake', 'notify'].map((key) => getSetting(key)),
    );
    this.#values = {
      theme: isTheme(theme) ? theme : DEFAULTS.theme,
      gpuMemory: typeof gpuMemory === 'number' && gpuMemory >= 0 ? gpuMemory : DEFAULTS.gpuMemory,
      keepAwake: keepAwake === true,
      notify: notify === true,
    };
    this.#showTheme();
  }

  #showTheme(): void {
    document.documentElement.dataset['theme'] = this.theme;
    try {
      localStorage.setItem(THEME_KEY, this.theme);
    } catch {
      // Without local storage the page only paints once in the other theme first.
    }
  }

  async set<K extends keyof Values>(key: K, value: Values[K]): Promise<void> {
    this.#values = { ...this.#values, [key]: value };
    if (key === 'theme') this.#showTheme();
    try {
      await setSetting(key, value);
    } catch (error) {
      announcer.show(errorMessage(error), { kind: 'error' });
    }
  }
}

export const settings = new Settings();
