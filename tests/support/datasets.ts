/** Data sets of every kind for tests of what keeps them: quick and slow files, stub models, an IndexedDB in memory. */
import 'fake-indexeddb/auto';
import type { NamedFile } from '../../src/common/named-file.ts';
import type { Xoshiro128 } from '../../src/common/order.ts';
import { nodePictureDecoder } from '../../src/headless/look/pictures.ts';
import { database } from '../../src/storage/database.ts';
import { createProject, updateProject } from '../../src/storage/projects.ts';
import type { Task } from '../../src/common/task.ts';
import type { DatasetHost } from '../../src/worker/dataset-host.ts';
import type { DatasetTypes } from '../../src/worker/dataset-kind.ts';
import { LookHost, type LookTypes } from '../../src/worker/look/host.ts';
import { SoundHost, type SoundTypes } from '../../src/worker/sound/host.ts';
import { VoiceHost, type VoiceTypes } from '../../src/worker/voice/host.ts';
import { A_MINOR, C_MAJOR, song, wav } from '../datasets/sound/material.ts';
import { paint, png, scene } from './pictures.ts';

/** Holds whoever passes it until it is opened, and tells when somebody has come. */
export class Gate {
  #reach: () => void = () => undefined;
  open: () => void = () => undefined;
  readonly reached = new Promise<void>((resolve) => (this.#reach = resolve));
  readonly #opened = new Promise<void>((resolve) => (this.open = resolve));

  async pass(): Promise<void> {
    this.#reach();
    await this.#opened;
  }
}

/** A file that gives nothing before its gate is opened. */
class GatedFile extends File {
  readonly #gate: Gate | undefined;

  constructor(bytes: Uint8Array<ArrayBuffer>, name: string, gate?: Gate) {
    super([bytes], name);
    this.#gate = gate;
  }

  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const bytes = (): Promise<ArrayBuffer> => super.arrayBuffer();
    return new ReadableStream({
      pull: async (controller) => {
        await this.#gate?.pass();
        controller.enqueue(new Uint8Array(await bytes()));
        controller.close();
      },
    });
  }

  override slice(start?: number, end?: number): Blob {
    const part = super.slice(start, end);
    const bytes = part.arrayBuffer.bind(part);
    part.arrayBuffer = async () => {
      await this.#gate?.pass();
      return bytes();
    };
    return part;
  }
}

/** A kind's host and what tests need to say of its sets. */
export interface Sample<T extends DatasetTypes, H extends DatasetHost<T> = DatasetHost<T>> {
  task: Task;
  host(): H;
  options: T['options'];
  /** File `number` (from 0) of the kind; behind a gate it is slow. */
  file(number: number, gate?: Gate): Promise<File>;
  input(files: readonly File[]): T['input'];
  /** What a person would find in the set, as text: equal where the sets are equal. */
  content(host: H, projectId: string): Promise<string>;
  /** Something that can always be changed in a set. */
  change(random: Xoshiro128, content: T['state']): T['change'];
}

const utf8 = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(new TextEncoder().encode(text));
const named = (files: readonly File[]): NamedFile[] => files.map((file) => ({ name: file.name, file }));
const LETTERS = 'abcdefghijklmnop';

export const voiceSample: Sample<VoiceTypes, VoiceHost> = {
  task: 'voice',
  host: () => new VoiceHost(),
  options: {},
  file: async (number, gate) =>
    new GatedFile(utf8(`{"text":"row ${number}"}\n{"text":"row ${number}, and more"}\n`), `${number}.jsonl`, gate),
  input: (files) => ({ files }),
  async content(host, projectId) {
    const { record } = await host.open(projectId, {});
    const { rows } = await host.page(projectId, '', 0, 10_000);
    return JSON.stringify({ counted: record?.rowCount ?? 0, rows: rows.map(({ row }) => row) });
  },
  change(random) {
    const label = `change ${random.below(1000)}`;
    const row = { kind: 'text', text: label } as const;
    if (random.below(3) === 0) return { kind: 'add', index: 0, rows: [row], label };
    return random.below(2) === 0
      ? { kind: 'remove', indices: [0], label }
      : { kind: 'edit', index: random.below(3), row, label };
  },
};

export const captioner = {
  gate: undefined as Gate | undefined,
  says: 'a dog on a beach',
};

export const lookSample: Sample<LookTypes, LookHost> = {
  task: 'look',
  host: () =>
    new LookHost({
      decoder: nodePictureDecoder,
      pixelsOf: () => Promise.resolve(paint(2, 2, scene(1))),
      openCaptions: (_source, onProgress) => {
        onProgress(1);
        return Promise.resolve({
          async describe() {
            await captioner.gate?.pass();
            return captioner.says;
          },
          close: () => Promise.resolve(),
        });
      },
    }),
  options: { triggerWord: 'zilo', resolution: 64 },
  file: async (number, gate) => new GatedFile(await png(paint(48, 48, scene(number))), `${LETTERS[number]}.png`, gate),
  input: named,
  async content(host, projectId) {
    const { record, rows, words } = await host.open(projectId, lookSample.options);
    const masks = await Promise.all(rows.map(async ({ id }) => (await host.mask(projectId, id))?.text() ?? null));
    return JSON.stringify({ counted: record?.rowCount ?? 0, rows, words, masks });
  },
  change(random, { rows }) {
    const label = `change ${random.below(1000)}`;
    const { id } = rows[random.below(rows.length)]!;
    switch (random.below(5)) {
      case 0:
        return { kind: 'words', words: { triggerWord: `word${random.below(9)}`, template: '{word}, {file}' }, label };
      case 1:
        return { kind: 'mask', id, mask: random.below(2) === 0 ? null : new Blob([label]), label };
      case 2:
        return { kind: 'remove', ids: [id], label };
      default:
        return { kind: 'set', changes: [{ id, fields: { caption: label, captionByHand: true } }], label };
    }
  },
};

export const tagger = { gate: undefined as Gate | undefined, says: ['lute'] };

const RATE = 8000;

export const soundSample: Sample<SoundTypes, SoundHost> = {
  task: 'sound',
  host: () =>
    new SoundHost((_source, onProgress) => {
      onProgress(1);
      return Promise.resolve({
        sampleRate: RATE,
        scores: () => Promise.reject(new Error('No test asks for scores.')),
        async tags() {
          await tagger.gate?.pass();
          return tagger.says;
        },
        close: () => Promise.resolve(),
      });
    }),
  options: {},
  file: async (number, gate) =>
    new GatedFile(
      wav([song(3 + (number % 4), RATE, 90 + 20 * number, number % 2 === 0 ? C_MAJOR : A_MINOR)], RATE),
      `${LETTERS[number]}.wav`,
      gate,
    ),
  input: named,
  async content(host, projectId) {
    const { record, files, clips, words } = await host.open(projectId, {});
    return JSON.stringify({ counted: record?.rowCount ?? 0, files, clips, words });
  },
  change(random, { clips, files }) {
    const label = `change ${random.below(1000)}`;
    const { id } = clips[random.below(clips.length)]!;
    switch (random.below(5)) {
      case 0:
        return {
          kind: 'words',
          words: { triggerWord: `word${random.below(9)}`, template: '{trigger}, {tempo}' },
          label,
        };
      case 1:
        return { kind: 'remove', ids: [id], label };
      case 2:
        return { kind: 'removeFiles', ids: [files[random.below(files.length)]!.id], label };
      default:
        return { kind: 'set', changes: [{ id, fields: { words: label, wordsByHand: true } }], label };
    }
  },
};

/** Two new projects of a kind, on disk. */
export async function twoProjects(task: Task): Promise<[a: string, b: string]> {
  const [a, b] = [await createProject(task, 'A'), await createProject(task, 'B')];
  // The test's pictures are small.
  if (task === 'look') for (const { id } of [a, b]) await updateProject(id, { recipe: { resolution: 64 } });
  return [a.id, b.id];
}

const STORES = ['projects', 'datasets', 'rows', 'files'] as const;

/** How many entries lie in each store. */
export async function stored(): Promise<Record<(typeof STORES)[number], number>> {
  const db = await database();
  const counts = await Promise.all(STORES.map(async (store) => [store, await db.count(store)] as const));
  return Object.fromEntries(counts) as Record<(typeof STORES)[number], number>;
}

/** Nothing is kept any more. */
export async function forgetAll(): Promise<void> {
  const db = await database();
  for (const store of STORES) await db.clear(store);
}
