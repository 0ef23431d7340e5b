import { UserError } from '../../common/errors.ts';
import { isJsonObject, quoteValue } from '../../common/json.ts';

/** Reads an untrusted configuration, naming the file and field of what is missing, wrong or not supported. */
export class ConfigReader {
  readonly values: Readonly<Record<string, unknown>>;
  /** As it is called in messages, which begin with it: “unet/config.json”, “The base's config.json”. */
  readonly file: string;

  constructor(values: unknown, file: string) {
    if (!isJsonObject(values)) throw new UserError(`${file} is not a JSON object. Download the model again.`);
    this.values = values;
    this.file = file;
  }

  wrong(name: string, needed: string): UserError {
    return new UserError(`${this.file} says ${name} is ${quoteValue(this.values[name] ?? null)}; ${needed}.`);
  }

  has(name: string): boolean {
    return this.values[name] !== undefined && this.values[name] !== null;
  }

  /** A positive whole number; `fallback` where the field is missing or null. */
  size(name: string, fallback?: number): number {
    const value = this.values[name] ?? fallback;
    if (!isSize(value)) throw this.wrong(name, 'a positive whole number is needed');
    return value;
  }

  number(name: string, fallback: number): number {
    const value = this.values[name] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.wrong(name, 'a number is needed');
    return value;
  }

  /** A number above 0; `fallback` where the field is missing or null. */
  positive(name: string, fallback?: number): number {
    const value = this.values[name] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
      throw this.wrong(name, 'a number above 0 is needed');
    return value;
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.values[name] ?? fallback;
    if (typeof value !== 'boolean') throw this.wrong(name, 'true or false is needed');
    return value;
  }

  choice<T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const value = this.values[name] ?? fallback;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw this.wrong(name, `supported ${are(choices)}`);
    return found;
  }

  /** A list of positive whole numbers; `count` says how many there must be. */
  sizes(name: string, fallback: readonly number[], count?: number): readonly number[] {
    const value = this.values[name] ?? fallback;
    if (!Array.isArray(value) || value.length === 0 || !value.every(isSize))
      throw this.wrong(name, 'a list of positive whole numbers is needed');
    if (count !== undefined && value.length !== count) throw this.wrong(name, `${count} numbers are needed`);
    return value as number[];
  }

  /** One number for all of `count` blocks, or one each. */
  sizePerBlock(name: string, count: number, fallback: number): readonly number[] {
    const value = this.values[name] ?? fallback;
    if (isSize(value)) return Array.from({ length: count }, () => value);
    return this.sizes(name, [], count);
  }

  flagPerBlock(name: string, count: number, fallback: boolean): readonly boolean[] {
    const value = this.values[name] ?? fallback;
    if (typeof value === 'boolean') return Array.from({ length: count }, () => value);
    if (!Array.isArray(value) || value.length !== count || !value.every((flag) => typeof flag === 'boolean'))
      throw this.wrong(name, `true, false or a list of ${count} of them is needed`);
    return value as boolean[];
  }

  /** A list of the given names only. */
  choices<T extends string>(name: string, choices: readonly T[], fallback: readonly T[], count?: number): readonly T[] {
    const value = this.values[name] ?? fallback;
    if (!Array.isArray(value) || value.length === 0 || !value.every((item) => choices.includes(item as T)))
      throw this.wrong(name, `supported ${are(choices)}`);
    if (count !== undefined && value.length !== count) throw this.wrong(name, `${count} names are needed`);
    return value as T[];
  }

  /** Fields that change what is computed, and must be left out or have the one value that is supported. */
  expect(fields: Readonly<Record<string, unknown>>): void {
    for (const [name, supported] of Object.entries(fields)) {
      const value = this.values[name] ?? supported;
      if (value !== supported) {
        throw this.wrong(
          name,
          supported === null ? 'models with it are not supported' : `only ${quoteValue(supported)} is supported`,
        );
      }
    }
  }
}

const isSize = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 && value <= 2 ** 31;

const are = (choices: readonly string[]): string => `${choices.length === 1 ? 'is' : 'are'} ${choices.join(', ')}`;
