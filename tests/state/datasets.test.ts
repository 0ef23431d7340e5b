import { paint, png } from '../support/pictures.ts';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { NamedFile } from '../../src/common/named-file.ts';
import type { Task } from '../../src/common/task.ts';
import { getProject } from '../../src/storage/projects.ts';
import { getDataset } from '../../src/storage/datasets.ts';
import { announcer } from '../../src/state/announcer.svelte.ts';
import { pictures } from '../../src/state/look/dataset.svelte.ts';
import { openProject } from '../../src/state/project.svelte.ts';
import { sounds } from '../../src/state/sound/dataset.svelte.ts';
import type { NamedChange } from '../../src/state/workers.ts';
import { data } from '../../src/state/voice/dataset.svelte.ts';
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

/** The worker's hosts, in this thread: what they answer is what they would answer there. */
let worker = { voice: voiceSample.host(), look: lookSample.host(), sound: soundSample.host() };

vi.mock('../../src/state/workers.ts', () => ({
  callback: <F>(work: F): F => work,
  dataWorker: () => worker,
  modelWorker: () => ({}),
  onWorkerEvent: () => undefined,
  onWorkerChange: (listener: (change: Partial<NamedChange>) => void) => changeListeners.push(listener),
  errorMessage: (error: unknown) => (error as Error).message,
}));

const changeListeners = vi.hoisted((): ((change: Partial<NamedChange>) => void)[] => []);

const MODEL = { hub: 'nobody/nothing' };

/** What the tests do with the data set of any kind. */
interface Managed {
  task: Task;
  manager: typeof data | typeof pictures | typeof sounds;
  file(number: number, gate?: Gate): Promise<File>;
  add(files: readonly File[]): Promise<boolean>;
  /** A change of what is there. */
  edit(): Promise<void>;
  /** What is shown of the set. */
  shown(): string[];
  one: string;
}

const named = (files: readonly File[]): NamedFile[] => files.map((file) => ({ name: file.name, file }));

const KINDS: Managed[] = [
  {
    task: 'voice',
    manager: data,
    file: voiceSample.file,
    add: (files) => data.addFiles(files),
    edit: () => data.addRow({ kind: 'text', text: 'edited' }),
    shown: () => data.page.rows.map(({ row }) => (row.kind === 'text' ? row.text : '')),
    one: 'row',
  },
  {
    task: 'look',
    manager: pictures,
    file: lookSample.file,
    add: (files) => pictures.addFiles(named(files)),
    edit: () => pictures.setCaption(pictures.rows[0]!.id, 'edited'),
    shown: () => pictures.rows.map(({ file, caption }) => `${file}: ${caption}`),
    one: 'picture',
  },
  {
    task: 'sound',
    manager: sounds,
    file: soundSample.file,
    add: (files) => sounds.addFiles(named(files)),
    edit: () => sounds.setWords(sounds.clips[0]!.id, 'edited'),
    shown: () => sounds.songs.map(({ file, clips }) => `${file.name}: ${clips.map(({ words }) => words).join()}`),
    one: 'clip',
  },
];

/** Every message that was shown, in order. */
const messages: { message: string; action?: { label: string; run: () => void } }[] = [];

beforeEach(async () => {
  await openProject.close();
  await forgetAll();
  worker = { voice: voiceSample.host(), look: lookSample.host(), sound: soundSample.host() };
  captioner.gate = undefined;
  tagger.gate = undefined;
  messages.length = 0;
  vi.restoreAllMocks();
  vi.spyOn(announcer, 'show').mockImplementation((message, options) => {
    messages.push({ message, ...(options?.action ? { action: options.action } : {}) });
  });
});

describe.each(KINDS)('the data set of a $task', ({ task, manager, file, add, edit, shown, one }) => {
  /** As the page does it: the project first, then its data. */
  async function go(projectId: string): Promise<void> {
    await openProject.open(projectId);
    await manager.open(projectId);
  }

  it('an import that ends after another project was opened is shown there only when one is back', async () => {
    const [a, b] = await twoProjects(task);
    const gate = new Gate();
    await go(a);
    const importing = add([await file(0, gate)]);
    expect(manager.progress).not.toBeNull();
    await gate.reached;
    await go(b);
    expect(manager.progress).toBeNull();
    expect(await add([await file(1)])).toBe(true);
    const inB = shown();
    const datasetB = manager.record!.id;
    gate.open();
    expect(await importing).toBe(true);
    expect([shown(), manager.record?.id]).toEqual([inB, datasetB]);
    expect([openProject.project?.datasetId, openProject.dataset?.projectId]).toEqual([datasetB, b]);
    await openProject.flush();
    const [ofA, ofB] = [await getProject(a), await getProject(b)];
    expect(ofB?.datasetId).toBe(datasetB);
    expect((await getDataset(ofA!.datasetId!))?.projectId).toBe(a);
    // The prompts that the set suggests are written where it is, too.
    expect([ofA!.prompts.length > 0, ofB!.prompts.length > 0]).toEqual([true, true]);
    await go(a);
    expect(shown()).not.toEqual(inB);
    expect(shown().length).toBeGreaterThan(0);
    expect(openProject.dataset?.projectId).toBe(a);
  });

  it('shows how far an import is to who comes back while it goes on', async () => {
    const [a, b] = await twoProjects(task);
    const gate = new Gate();
    await go(a);
    await add([await file(0)]);
    const before = shown();
    const importing = add([await file(1), await file(2, gate)]);
    await gate.reached;
    await go(b);
    await go(a);
    // What was there is there to be looked at.
    expect(shown().slice(0, before.length)).toEqual(before);
    expect(manager.progress?.fraction).toBeGreaterThan(0);
    expect(await add([await file(3)])).toBe(false);
    expect(messages.at(-1)?.message).toContain('Wait until it is there');
    gate.open();
    await importing;
    expect(manager.progress).toBeNull();
    expect(shown().length).toBeGreaterThan(before.length);
  });

  it('says what went wrong where it went wrong', async () => {
    const [a, b] = await twoProjects(task);
    const gate = new Gate();
    await go(a);
    const nothing = new File(['\u0000\u0001 no such thing'], 'odd.bin');
    const stream = nothing.stream.bind(nothing);
    const waiting = new ReadableStream<Uint8Array<ArrayBuffer>>({
      async pull(controller) {
        await gate.pass();
        const { value } = await stream().getReader().read();
        controller.enqueue(value!);
        controller.close();
      },
    });
    nothing.stream = () => waiting;
    const slice = nothing.slice.bind(nothing);
    nothing.slice = (...range) => {
      const part = slice(...range);
      part.arrayBuffer = async () => {
        await gate.pass();
        return slice(...range).arrayBuffer();
      };
      return part;
    };
    const importing = add([nothing]);
    await gate.reached;
    await go(b);
    gate.open();
    expect(await importing).toBe(false);
    expect([manager.error, manager.report]).toEqual(['', null]);
    await go(a);
    expect(manager.error).toContain('odd.bin');
    expect(manager.report?.files).toHaveLength(1);
    // Once said, it is said.
    await go(b);
    await go(a);
    expect(manager.error).toBe('');
  });

  it('says that an import was stopped and what of it is kept; one undo takes that away, also from another project', async () => {
    const [a, b] = await twoProjects(task);
    const gate = new Gate();
    await go(a);
    const importing = add([await file(0), await file(1, gate)]);
    await gate.reached;
    manager.cancel();
    gate.open();
    expect(await importing).toBe(true);
    const kept = shown();
    expect(kept.length).toBeGreaterThan(0);
    expect(messages.at(-1)?.message).toMatch(/^Stopped\. The .* until then (?:is|are) kept\.$/);
    expect(manager.report?.stopped).toBe(true);
    expect(manager.progress).toBeNull();
    await openProject.open(b);
    messages.at(-1)?.action?.run();
    await vi.waitFor(() => expect(shown()).toEqual([]));
    expect(openProject.dataset).toBeNull();
    await manager.redo();
    expect(shown()).toEqual(kept);
  });

  it('an undo that is offered after a change is one of that change, wherever one has gone', async () => {
    const [a, b] = await twoProjects(task);
    await go(a);
    await add([await file(0)]);
    const before = shown();
    await edit();
    expect(shown()).not.toEqual(before);
    const undoing = manager.undo(a);
    await go(b);
    await undoing;
    expect(shown()).toEqual([]);
    await add([await file(1)]);
    const inB = shown();
    // The history of a set that was left is gone; this is said, and nothing else is undone for it.
    await manager.undo(a);
    expect(messages.at(-1)?.message).toContain('can no longer be undone');
    expect(shown()).toEqual(inB);
    await go(a);
    expect(shown()).toEqual(before);
  });

  it('undos and redos in quick succession are all done, and announced as what they were', async () => {
    const [a] = await twoProjects(task);
    await go(a);
    await add([await file(0)]);
    const before = shown();
    await edit();
    const after = shown();
    const said = vi.spyOn(announcer, 'say');
    await Promise.all([manager.undo(), manager.undo(), manager.redo(), manager.redo(), manager.undo()]);
    expect(said.mock.calls.map(([text]) => text.split(':')[0])).toEqual([
      'Undone',
      'Undone',
      'Done again',
      'Done again',
      'Undone',
    ]);
    expect(shown()).toEqual(before);
    await manager.redo();
    expect(shown()).toEqual(after);
    const fresh = { voice: voiceSample, look: lookSample, sound: soundSample }[task].host();
    worker = { ...worker, [task]: fresh };
    await manager.open(a);
    expect(shown()).toEqual(after);
  });

  it('is what is kept, after the worker that held it has ended', async () => {
    const [a] = await twoProjects(task);
    await go(a);
    await add([await file(0)]);
    await edit();
    const after = shown();
    const { restored } = pictures;
    worker = { voice: voiceSample.host(), look: lookSample.host(), sound: soundSample.host() };
    for (const tell of changeListeners) tell({ worker: 'data', type: 'restarted' });
    // Its history went with the worker, what it kept did not.
    await vi.waitFor(() => expect(manager.undoLabel).toBeNull());
    expect(shown()).toEqual(after);
    // What is shown of masks is read anew.
    await vi.waitFor(() => expect(pictures.restored).toBeGreaterThan(restored));
    await add([await file(1)]);
    expect(shown()).not.toEqual(after);
    await manager.undo();
    expect(shown()).toEqual(after);
    expect(manager.error).toBe('');
  });

  it('announces what was added, and suggests prompts only where there are none', async () => {
    const [a] = await twoProjects(task);
    const said = vi.spyOn(announcer, 'say');
    await go(a);
    openProject.update({ prompts: ['mine'] });
    await add([await file(0)]);
    expect(said.mock.calls.flat()).toEqual([expect.stringMatching(new RegExp(`^\\d+ ${one}s? added\\.$`))]);
    expect(openProject.project?.prompts).toEqual(['mine']);
  });

  it('is written by the worker alone: what the page writes of the project at the same time stays', async () => {
    const [a] = await twoProjects(task);
    const gate = new Gate();
    await go(a);
    const importing = add([await file(0, gate)]);
    await gate.reached;
    openProject.update({ name: 'Renamed' });
    gate.open();
    openProject.updateAsk({ wish: 'typed while it ends' });
    await importing;
    await openProject.flush();
    expect(await getProject(a)).toMatchObject({
      name: 'Renamed',
      ask: { wish: 'typed while it ends' },
      datasetId: manager.record!.id,
    });
  });
});

describe('a model that goes through a set', () => {
  it('writes captions in the project it was asked in', async () => {
    const [a, b] = await twoProjects('look');
    const gate = (captioner.gate = new Gate());
    await openProject.open(a);
    await pictures.open(a);
    await pictures.addFiles(named([await lookSample.file(0)]));
    const writing = pictures.writeCaptions([pictures.rows[0]!.id], MODEL, 'dog');
    await gate.reached;
    expect(pictures.modelProgress).toEqual({ what: 'items', fraction: 0 });
    await pictures.open(b);
    await pictures.addFiles(named([await lookSample.file(1)]));
    expect(pictures.modelProgress).toBeNull();
    gate.open();
    await writing;
    expect(pictures.rows.map(({ caption }) => caption)).toEqual([expect.stringMatching(/^a photo of /)]);
    expect(messages).toEqual([]);
    await pictures.open(a);
    expect(pictures.rows.map(({ caption }) => caption)).toEqual([expect.stringContaining('on a beach')]);
    expect([pictures.modelProgress, pictures.progress]).toEqual([null, null]);
  });

  it('hears tags in the project it was asked in, and may be stopped', async () => {
    const [a, b] = await twoProjects('sound');
    await sounds.open(a);
    await sounds.addFiles(named([await soundSample.file(0), await soundSample.file(1)]));
    const gate = (tagger.gate = new Gate());
    const tagging = sounds.tag(
      sounds.clips.map(({ id }) => id),
      MODEL,
    );
    await gate.reached;
    sounds.cancel('model');
    await sounds.open(b);
    gate.open();
    await tagging;
    expect(sounds.clips).toEqual([]);
    await sounds.open(a);
    expect(sounds.clips.map(({ tagged }) => tagged)).toEqual([['lute'], []]);
  });
});

describe('what is special to a kind', () => {
  it('pages of rows follow what is left, and repeats go', async () => {
    const [a, b] = await twoProjects('voice');
    await data.open(a);
    await data.addText(Array.from({ length: 21 }, (_, i) => `{"text":"row ${i}"}`).join('\n'));
    await data.goTo(20);
    expect(data.page.rows.map(({ index }) => index)).toEqual([20]);
    await data.remove(20);
    expect([data.start, data.page.rows.length]).toEqual([0, 20]);
    await data.search('row 1');
    expect(data.page.matching).toBe(11);
    await data.addRow({ kind: 'text', text: 'row 1' });
    const removing = data.removeDuplicates();
    await data.open(b);
    await removing;
    expect(data.page).toEqual({ rows: [], matching: 0 });
    expect(messages).toEqual([]);
    await data.open(a);
    expect([data.query, data.page.matching, data.quality?.amount]).toEqual(['', 20, '40 words of running text.']);
    await data.removeDuplicates();
    expect(messages.at(-1)?.message).toBe('No row repeats another.');
  });

  it('an edit of a picture that ends late stays with its picture and its project', async () => {
    const [a, b] = await twoProjects('look');
    await openProject.open(a);
    await pictures.open(a);
    await pictures.addFiles(named([await lookSample.file(0), await lookSample.file(1)]));
    const [first, second] = pictures.rows;
    const edits = pictures.editsOf(first!.id);
    const crop = { ...first!.crop, width: 100, height: 90 };
    await pictures.open(b);
    await pictures.addFiles(named([await lookSample.file(0)]));
    const inB = pictures.rows;
    await edits.setMask(new Blob([await png(paint(8, 8, () => [255, 255, 255]))]));
    await edits.setCrop(crop);
    expect([pictures.rows, pictures.error]).toEqual([inB, '']);
    await pictures.open(a);
    expect(pictures.rows).toMatchObject([
      { id: first!.id, masked: true, crop },
      { id: second!.id, masked: false, crop: second!.crop },
    ]);
    expect([pictures.undoLabel, await edits.mask()]).toEqual([null, expect.any(Blob)]);
  });

  it('files that arrive late are added to the project in which they were given', async () => {
    const [a, b] = await twoProjects('look');
    await openProject.open(a);
    await pictures.open(a);
    await pictures.open(b);
    expect(await pictures.addFiles(named([await lookSample.file(0)]), a)).toBe(true);
    expect(pictures.rows).toEqual([]);
    await pictures.open(a);
    expect(pictures.rows).toHaveLength(1);
  });

  it('pictures show as they arrive, and what is selected is there', async () => {
    const [a, b] = await twoProjects('look');
    const gate = new Gate();
    await openProject.open(a);
    await pictures.open(a);
    const importing = pictures.addFiles(named([await lookSample.file(0), await lookSample.file(1, gate)]));
    await gate.reached;
    const arriving = pictures.rows.map(({ id }) => id);
    expect(arriving).toHaveLength(1);
    expect(pictures.thumbnail(arriving[0]!)).toMatch(/^blob:/);
    gate.open();
    await importing;
    expect(pictures.rows).toHaveLength(2);
    pictures.selectAll(true);
    await pictures.remove([arriving[0]!]);
    expect([...pictures.selected]).toEqual([pictures.rows[0]!.id]);
    const { restored } = pictures;
    await pictures.undo();
    expect(pictures.restored).toBe(restored + 1);
    await pictures.open(b);
    expect([pictures.selected.size, pictures.thumbnail(arriving[0]!)]).toEqual([0, undefined]);
  });

  it('a clip is added where a song has room, and said where it has none', async () => {
    const [a] = await twoProjects('sound');
    await sounds.open(a);
    await sounds.addFiles(named([await soundSample.file(3)]));
    const { id, end } = sounds.clips[0]!;
    await sounds.setEdges(id, 0, end / 2);
    expect(await sounds.addFree(sounds.songs[0]!)).toBe(true);
    expect(sounds.clips).toHaveLength(2);
    expect(await sounds.addFree(sounds.songs[0]!)).toBe(false);
    expect(messages.at(-1)?.message).toContain('covered by clips');
    await sounds.wantWaveform(sounds.songs[0]!.file.id);
    expect(sounds.waveform(sounds.songs[0]!.file.id)?.peaks.length).toBeGreaterThan(0);
  });
});

describe('the open project', () => {
  it('is the one that was asked for last', async () => {
    const [a, b] = await twoProjects('voice');
    // The first takes longer: it has a data set.
    await data.open(a);
    await data.addText('Something to learn.');
    await Promise.all([openProject.open(a), openProject.open(b)]);
    expect(openProject.project?.id).toBe(b);
  });

  it('writes what was typed into the project it was typed in', async () => {
    const [a, b] = await twoProjects('voice');
    await openProject.open(a);
    const opening = openProject.open(b);
    openProject.updateAsk({ wish: 'of A' });
    await opening;
    openProject.updateAsk({ background: 'of B' });
    await openProject.flush();
    expect((await getProject(a))?.ask).toMatchObject({ wish: 'of A', background: '' });
    expect((await getProject(b))?.ask).toMatchObject({ wish: '', background: 'of B' });
  });

  it('tries again what could not be written', async () => {
    const [a] = await twoProjects('voice');
    await openProject.open(a);
    const full = vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
      throw new DOMException('full', 'QuotaExceededError');
    });
    openProject.update({ name: 'new' });
    await openProject.flush();
    expect(messages.at(-1)?.message).toMatch(/storage is full/);
    full.mockRestore();
    openProject.update({ realPerson: true });
    await openProject.flush();
    expect(await getProject(a)).toMatchObject({ name: 'new', realPerson: true });
  });
});
