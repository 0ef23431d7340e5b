import { beforeEach, describe, expect, it } from 'vitest';
import type { TrainingRow } from '../../src/datasets/voice/rows.ts';
import { getDataset, readFile } from '../../src/storage/datasets.ts';
import {
  captioner,
  forgetAll,
  Gate,
  lookSample,
  soundSample,
  tagger,
  twoProjects,
  voiceSample,
} from '../support/datasets.ts';

const silent = (): void => undefined;
const MODEL = { hub: 'nobody/nothing' };

beforeEach(async () => {
  captioner.gate = undefined;
  tagger.gate = undefined;
  await forgetAll();
});

describe('the rows of a voice', () => {
  const text = (row: TrainingRow): string => (row.kind === 'text' ? row.text : '');

  async function open(pasted: string) {
    const host = voiceSample.host();
    const [a, b] = await twoProjects('voice');
    await host.open(a, {});
    const outcome = await host.import(a, { text: pasted }, silent, silent);
    return { host, a, b, outcome };
  }

  it('are pasted, paged, searched and written out; searching goes on with what was changed', async () => {
    const lines = Array.from({ length: 30 }, (_, i) => JSON.stringify({ text: i % 3 === 0 ? `fox ${i}` : `hen ${i}` }));
    const { host, a, outcome } = await open(lines.join('\n'));
    expect(outcome).toMatchObject({ added: 30, failure: '', state: { record: { rowCount: 30, projectId: a } } });
    const { rows, matching } = await host.page(a, '', 25, 20);
    expect([rows.map(({ index }) => index), matching]).toEqual([[25, 26, 27, 28, 29], 30]);
    const found = await host.page(a, 'FOX', 1, 2);
    expect([found.rows.map(({ index }) => index), found.matching]).toEqual([[3, 6], 10]);
    await host.apply(a, { kind: 'remove', indices: [3], label: 'Remove row 4' });
    expect((await host.page(a, 'FOX', 1, 2)).rows.map(({ row }) => text(row))).toEqual(['fox 6', 'fox 9']);
    expect((await (await host.toJsonl(a)).text()).split('\n')[3]).toBe('{"text":"hen 4"}');
    expect((await host.quality(a)).amount).toContain('58 words');
  });

  it('say why nothing was kept, with what was found', async () => {
    const { outcome } = await open('{"color": "red"}\n{"color": "blue"}\n');
    expect(outcome).toMatchObject({ added: 0, stopped: false, state: { record: null } });
    expect(outcome.failure).toContain('Nothing that can be learnt was found');
    expect(outcome.report?.skipped).toEqual({ 'no known fields': 2 });
  });

  it('lose their repeats in the project that was asked for, counted when their turn comes', async () => {
    const { host, a, b } = await open('{"text":"same"}\n{"text":"Same!"}\n{"text":"other"}');
    const answers = [host.removeDuplicates(a), host.removeDuplicates(a)];
    await host.open(b, {});
    expect((await Promise.all(answers)).map(({ removed }) => removed)).toEqual([1, 0]);
    const { record, undoLabel } = await host.open(a, {});
    expect([record?.rowCount, undoLabel]).toEqual([2, null]);
  });

  it('that are pasted are those of the project they were pasted in', async () => {
    const host = voiceSample.host();
    const [a, b] = await twoProjects('voice');
    await host.open(a, {});
    const pasting = host.import(a, { text: 'Of A.' }, silent, silent);
    await host.open(b, {});
    expect((await pasting).state.record?.projectId).toBe(a);
    expect((await host.page(b, '', 0, 9)).matching).toBe(0);
    expect((await host.page(a, '', 0, 9)).rows.map(({ row }) => text(row))).toEqual(['Of A.']);
  });
});

describe('the pictures of a look', () => {
  async function open(count = 3) {
    const host = lookSample.host();
    const [a, b] = await twoProjects('look');
    await host.open(a, lookSample.options);
    const files = await Promise.all(Array.from({ length: count }, (_, i) => lookSample.file(i)));
    const arrived: string[] = [];
    const fractions: number[] = [];
    const { state } = await host.import(
      a,
      lookSample.input(files),
      ({ fraction }) => fractions.push(fraction),
      ({ row }) => arrived.push(`${row.file}: ${row.caption}`),
    );
    return { host, a, b, ids: state.rows.map(({ id }) => id), arrived, fractions };
  }
  const captions = async (host: ReturnType<typeof lookSample.host>, id: string): Promise<string[]> =>
    (await host.open(id, lookSample.options)).rows.map(({ caption }) => caption);

  it('are shown as they arrive, with the words they get', async () => {
    const { arrived, fractions, host, a } = await open(2);
    expect(arrived).toEqual(['a.png: a photo of zilo', 'b.png: a photo of zilo']);
    expect(fractions).toEqual([0, 0.5, 1]);
    expect(await captions(host, a)).toEqual(['a photo of zilo', 'a photo of zilo']);
  });

  it('are counted with what their files take and by the first of them, whatever is removed, painted and taken back', async () => {
    const { host, a, ids } = await open(3);
    const { record } = await host.open(a, lookSample.options);
    const sizes = await Promise.all(
      ids.map(async (id) => {
        const { file, thumbnail } = (await readFile(record!.id, id))!;
        return file.size + thumbnail!.size;
      }),
    );
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const counted = async () => {
      const { fileBytes, cover } = (await getDataset(record!.id))!;
      return [fileBytes, cover];
    };
    expect(await counted()).toEqual([total, ids[0]]);
    await host.apply(a, { kind: 'mask', id: ids[1]!, mask: new Blob(['seven b']), label: 'Mask' });
    expect(await counted()).toEqual([total + 7, ids[0]]);
    expect((await readFile(record!.id, ids[1]!))?.mask?.size).toBe(7);
    await host.apply(a, { kind: 'remove', ids: [ids[0]!], label: 'Remove' });
    expect(await counted()).toEqual([total + 7 - sizes[0]!, ids[1]]);
    await host.apply(a, { kind: 'remove', ids: ids.slice(1), label: 'Remove' });
    expect(await counted()).toEqual([0, null]);
    for (let i = 0; i < 3; i++) await host.undo(a);
    expect(await counted()).toEqual([total, ids[0]]);
  });

  it('get the words of a model in the project that was asked for, with one step to undo, while another is edited', async () => {
    const { host, a, b, ids } = await open();
    const gate = (captioner.gate = new Gate());
    const progress: [string, number][] = [];
    const writing = host.writeCaptions(a, ids, { model: MODEL, className: 'dog' }, (...at) => progress.push(at));
    await gate.reached;
    await host.open(b, lookSample.options);
    await host.import(b, lookSample.input([await lookSample.file(5)]), silent, silent);
    const other = await lookSample.content(host, b);
    gate.open();
    const { state, done } = await writing;
    expect(done).toBe(3);
    expect(state.record?.projectId).toBe(a);
    expect(progress).toEqual([['model', 1], ...ids.map((_, i) => ['items', i / 3])]);
    expect(await lookSample.content(lookSample.host(), b)).toBe(other);
    expect((await host.open(b, lookSample.options)).undoLabel).toBe('Add 1 picture');
    expect(await captions(host, a)).toEqual(Array(3).fill('zilo on a beach'));
  });

  it('that a model is looking at may be changed, removed, and left as they are', async () => {
    const { host, a, ids } = await open();
    const gate = (captioner.gate = new Gate());
    const writing = host.writeCaptions(a, ids, { model: MODEL, className: '' }, silent);
    await gate.reached;
    // It does not hold up what a person does meanwhile.
    await host.apply(a, { kind: 'remove', ids: [ids[0]!], label: 'Remove a' });
    gate.open();
    const { state, done } = await writing;
    expect(done).toBe(2);
    expect(state.undoLabel).toBe('Words of 2 pictures, written by a model');
    expect(await captions(host, a)).toEqual(Array(2).fill('zilo, a dog on a beach'));
    const undone = [await host.undo(a), await host.undo(a)].map(({ label }) => label);
    expect(undone).toEqual(['Words of 2 pictures, written by a model', 'Remove a']);
    expect(await captions(host, a)).toEqual(Array(3).fill('a photo of zilo'));
  });

  it('keep the words that were written until a model is stopped', async () => {
    const { host, a, ids } = await open();
    const gate = (captioner.gate = new Gate());
    const writing = host.writeCaptions(a, ids, { model: MODEL, className: '' }, silent);
    await gate.reached;
    await host.cancel(a, 'import');
    await host.cancel(a, 'model');
    gate.open();
    expect((await writing).done).toBe(1);
    expect(await captions(host, a)).toEqual(['zilo, a dog on a beach', 'a photo of zilo', 'a photo of zilo']);
  });

  it('are looked at anew at another resolution, which is no step', async () => {
    const { host, a } = await open();
    const small = await host.open(a, lookSample.options);
    const large = await host.open(a, { triggerWord: 'other', resolution: 512 });
    expect(large.rows.map(({ bucket }) => bucket)).not.toEqual(small.rows.map(({ bucket }) => bucket));
    expect([large.undoLabel, large.words.triggerWord]).toEqual(['Add 3 pictures', 'zilo']);
    const again = await lookSample.host().open(a, { triggerWord: '', resolution: 512 });
    expect(again.rows).toEqual(large.rows);
  });
});

describe('the songs of a sound', () => {
  async function open(count = 2) {
    const host = soundSample.host();
    const [a, b] = await twoProjects('sound');
    await host.open(a, {});
    const files = await Promise.all(Array.from({ length: count }, (_, i) => soundSample.file(i)));
    await host.import(a, soundSample.input(files), silent, silent);
    const template = { triggerWord: '', template: '{tags}' };
    const { clips } = await host.apply(a, { kind: 'words', words: template, label: 'Words' });
    return { host, a, b, ids: clips.map(({ id }) => id), clips };
  }
  const words = async (host: ReturnType<typeof soundSample.host>, id: string): Promise<string[]> =>
    (await host.open(id, {})).clips.map((clip) => clip.words);

  it('get the tags of a model in the project that was asked for, while another is edited', async () => {
    const { host, a, b, ids } = await open();
    const gate = (tagger.gate = new Gate());
    const tagging = host.tag(a, ids, MODEL, silent);
    await gate.reached;
    await host.open(b, {});
    await host.import(b, soundSample.input([await soundSample.file(3)]), silent, silent);
    const other = await soundSample.content(host, b);
    gate.open();
    expect(await tagging).toMatchObject({ done: ids.length, state: { record: { projectId: a } } });
    expect(await soundSample.content(soundSample.host(), b)).toBe(other);
    expect((await host.open(b, {})).undoLabel).toBe('Add 1 clip');
    expect(await words(host, a)).toEqual(ids.map(() => 'lute'));
  });

  it('may be removed while a model hears them, and it may be stopped', async () => {
    const { host, a, ids } = await open(3);
    const gate = (tagger.gate = new Gate());
    const tagging = host.tag(a, ids, MODEL, silent);
    await gate.reached;
    await host.apply(a, { kind: 'remove', ids: [ids[0]!, ids[1]!], label: 'Remove' });
    gate.open();
    expect((await tagging).done).toBe(ids.length - 2);
    const second = (tagger.gate = new Gate());
    const stopped = host.tag(a, ids.slice(2), MODEL, silent);
    await second.reached;
    await host.cancel(a, 'model');
    second.open();
    expect((await stopped).done).toBe(1);
  });

  it('are cut where a person says, heard there, and taken along as WAV', async () => {
    const { host, a, clips } = await open(1);
    const [clip] = clips;
    const moved = await host.apply(a, { kind: 'edges', id: clip!.id, start: 0, end: 1.5, label: 'Edges' });
    const { clips: both, record } = await host.apply(a, {
      kind: 'add',
      fileId: clip!.fileId,
      start: 1.5,
      end: 3,
      label: 'Add a clip',
    });
    expect(moved.clips[0]).toMatchObject({ start: 0, end: 1.5, edgesByHand: true });
    expect(both.map(({ start, end }) => [start, end])).toEqual([
      [0, 1.5],
      [1.5, 3],
    ]);
    expect(record).toMatchObject({ rowCount: 2, seconds: 3 });
    // 16 bits of one channel at 48 kHz, and a head.
    expect((await host.heard(a, clip!.id)).size).toBe(44 + 2 * 1.5 * 48_000);
    await host.apply(a, { kind: 'set', changes: [{ id: clip!.id, fields: { kept: false } }], label: 'Leave out' });
    const bundle = await host.bundleClips(a, 16_000, 1);
    expect(bundle.map(({ file, bytes }) => [file, bytes.length])).toEqual([['a.wav', 44 + 2 * 1.5 * 16_000]]);
    await expect(host.heard(a, 'gone')).rejects.toThrow('no longer in the set');
  });
});
