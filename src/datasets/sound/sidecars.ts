/** Words that lie beside sounds: a text named like its sound, lists of many, and the descriptions of audiocraft's data sets. */
import { UserError } from '../../common/errors.ts';
import { CaptionFiles, stemOf } from '../look/sidecars.ts';

/** Fields of audiocraft's own description (`song.json` beside `song.mp3`) that say what is heard. */
function described(text: string): string | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const fields = value as Record<string, unknown>;
  const said = ['description', 'text', 'caption', 'prompt', 'keywords']
    .map((key) => fields[key])
    .filter((part): part is string => typeof part === 'string' && part.trim() !== '');
  if (said.length === 0) return null;
  return said.map((part) => part.trim().replace(/\.$/, '')).join(', ');
}

/** Finds words for sounds among all files that hold any. */
export class WordFiles {
  readonly #captions = new CaptionFiles();
  readonly #own = new Map<string, { text: string; from: string }>();
  readonly #used = new Set<string>();

  /** @throws UserError where the file holds no words. */
  add(path: string, kind: 'caption' | 'captions', text: string, stems: ReadonlySet<string>): void {
    if (kind === 'caption') {
      this.#captions.one(path, text);
      return;
    }
    const stem = stemOf(path);
    const own = path.toLowerCase().endsWith('.json') && stems.has(stem) ? described(text) : null;
    if (own !== null) this.#own.set(stem, { text: own, from: path });
    else {
      try {
        this.#captions.many(path, text);
      } catch (error) {
        throw error instanceof UserError ? new UserError(error.message.replaceAll('captions', 'words')) : error;
      }
    }
  }

  of(sound: string): string | undefined {
    const own = this.#own.get(stemOf(sound));
    if (own) this.#used.add(own.from);
    return own?.text ?? this.#captions.of(sound);
  }

  wasUsed(path: string): boolean {
    return this.#used.has(path) || this.#captions.wasUsed(path);
  }
}
