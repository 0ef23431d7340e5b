import 'fake-indexeddb/auto';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { importBase } from '../../src/storage/base-import.ts';
import { deleteBase, getBase, listBases, openBase } from '../../src/storage/bases.ts';
import { database, newId } from '../../src/storage/database.ts';
import { PIECE, type IncomingFile } from '../../src/storage/digests.ts';
import { MemoryDirectory, memoryStorage, type MemoryFile } from '../support/opfs.ts';

let root: MemoryDirectory;

beforeEach(async () => {
  root = new MemoryDirectory();
  vi.stubGlobal('navigator', { storage: memoryStorage(root) });
  await (await database()).clear('bases');
});

afterEach(() => {
  vi.unstubAllGlobals();
});

const text = (path: string, content: string): IncomingFile => ({ path, file: new Blob([content]) });

const LARGE = 2 * PIECE + 1000;
const PATTERN = new Uint8Array(LARGE);
for (let i = 0; i < LARGE; i++) PATTERN[i] = i % 251;
/** Where weights differ from others in one byte: within the first piece, or near the end. */
const EARLY = 1000;
const LATE = 2 * PIECE + 500;

/** A safetensors file of one tensor of so many bytes, one of them another than it was where `changed` says so. */
function weights(path: string, size: number, changed?: number): IncomingFile {
  const header = JSON.stringify({ w: { dtype: 'U8', shape: [size], data_offsets: [0, size] } });
  const head = new Uint8Array(8);
  new DataView(head.buffer).setBigUint64(0, BigInt(header.length), true);
  const data = PATTERN.slice(0, size);
  if (changed !== undefined) data[changed]! += 1;
  return { path, file: new Blob([head, header, data]) };
}

function folder(changed?: number, config = '{"a":1}', size = 3000): IncomingFile[] {
  return [text('config.json', config), weights('model.safetensors', size, changed), text('tokenizer.json', '{}')];
}

const bytesOf = async (file: Blob): Promise<Buffer> => Buffer.from(await file.arrayBuffer());

/** Everything of a base lies here as its folder had it. */
async function expectContent(id: string, files: readonly IncomingFile[]): Promise<void> {
  const opened = await openBase((await getBase(id))!);
  expect([...opened.files].sort()).toEqual(files.map(({ path }) => path).sort());
  for (const { path, file } of files) {
    expect(Buffer.compare(Buffer.from(await opened.read(path)), await bytesOf(file)), path).toBe(0);
  }
}

async function keptFile(id: string, index: number): Promise<MemoryFile> {
  const bases = await root.getDirectoryHandle('bases');
  return (await bases.getDirectoryHandle(id)).getFileHandle(String(index));
}

/** A copy that was stopped after so many bytes of the whole folder. */
async function brokenOff(name: string, files: readonly IncomingFile[], after: number): Promise<string> {
  const abort = new AbortController();
  const importing = importBase(name, files, {
    signal: abort.signal,
    onProgress: ({ doneBytes }) => {
      if (doneBytes >= after) abort.abort();
    },
  });
  await expect(importing).rejects.toThrow(/abort/i);
  const [base] = await listBases();
  expect(base?.complete).toBe(false);
  return base!.id;
}

/** An older page wrote no digests. */
async function withoutDigests(id: string): Promise<void> {
  const base = (await getBase(id))!;
  await (await database()).put('bases', { ...base, files: base.files.map(({ path, size }) => ({ path, size })) });
}

describe('a base', () => {
  it('is kept with what its files hold: the head, and every piece', async () => {
    const files = folder(undefined, '{"a":1}', LARGE);
    const base = await importBase('one', files);
    await expectContent(base.id, files);
    const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    expect(base.files.map(({ path }) => path)).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
    expect(base.files[0]).toEqual({
      path: 'config.json',
      size: 7,
      head: sha(Buffer.from('{"a":1}')),
      pieces: [sha(Buffer.from('{"a":1}'))],
    });
    const whole = await bytesOf(files[1]!.file);
    const headEnd = whole.length - LARGE;
    expect(base.files[1]!.head).toBe(sha(whole.subarray(0, headEnd)));
    expect(base.files[1]!.pieces).toEqual(
      [0, 1, 2].map((piece) => sha(whole.subarray(piece * PIECE, (piece + 1) * PIECE))),
    );
  });

  it('is the same when its folder is picked again, whatever the folder is called, and is not written again', async () => {
    const first = await importBase('one', folder());
    const kept = await keptFile(first.id, 1);
    kept.writes.length = 0;
    expect(await importBase('one', folder())).toEqual(first);
    expect(await importBase('renamed', folder())).toEqual(first);
    expect(await importBase('one', [...folder()].reverse())).toEqual(first);
    expect(kept.writes).toEqual([]);
    expect(await listBases()).toEqual([first]);
  });

  it.each<[string, IncomingFile[], IncomingFile[]]>([
    ['another config', folder(), folder(undefined, '{"a":2}')],
    ['other weights under the same head', folder(), folder(EARLY)],
    ['one other byte far behind', folder(undefined, '{}', LARGE), folder(LATE, '{}', LARGE)],
  ])('is another one with names and sizes the same and %s', async (_what, a, b) => {
    expect(a.map(({ path, file }) => [path, file.size])).toEqual(b.map(({ path, file }) => [path, file.size]));
    const first = await importBase('one', a);
    const second = await importBase('one', b);
    expect(second.id).not.toBe(first.id);
    expect([first.name, second.name]).toEqual(['one', 'one (2)']);
    await expectContent(first.id, a);
    await expectContent(second.id, b);
    // Each is found again.
    expect((await importBase('one', a)).id).toBe(first.id);
    expect((await importBase('one', b)).id).toBe(second.id);
    expect(await listBases()).toHaveLength(2);
  });

  it('reads no more of a folder than what tells it from the base that looks like it', async () => {
    await importBase('one', folder(undefined, '{}', LARGE));
    const said: number[] = [];
    await importBase('one', folder(EARLY, '{}', LARGE), { onProgress: ({ doneBytes }) => said.push(doneBytes) });
    // The config and one piece of the weights were compared; then everything is copied, from nothing on.
    expect(said.slice(0, 3)).toEqual([2, 2 + PIECE, 2]);
  });

  it('of a voice is none of a look, were the files the same', async () => {
    const voice = await importBase('one', folder());
    const look = await importBase('one', folder(), { task: 'look' });
    expect([look.id === voice.id, look.name]).toEqual([false, 'one']);
  });

  it('says that it is being added in another tab', async () => {
    const id = await brokenOff('one', folder(), 1);
    (await keptFile(id, 0)).locked = true;
    await expect(importBase('one', folder())).rejects.toThrow(/“one” is being added in another tab/);
  });
});

describe('a copy that broke off', () => {
  it('goes on over the same content and writes only what is missing', async () => {
    const files = folder(undefined, '{}', LARGE);
    const id = await brokenOff('one', files, PIECE);
    const kept = await keptFile(id, 1);
    expect(kept.bytes).toHaveLength(PIECE);
    // It ended in the middle of a piece.
    kept.resize(PIECE - 12_345);
    kept.writes.length = 0;
    const base = await importBase('one', files);
    expect([base.id, base.complete]).toEqual([id, true]);
    expect(kept.writes).toEqual([
      [PIECE - 12_345, PIECE],
      [PIECE, 2 * PIECE],
      [2 * PIECE, files[1]!.file.size],
    ]);
    await expectContent(id, files);
    expect(await importBase('one', files)).toEqual(base);
  });

  it('takes nothing over from other weights, nor from what was never written', async () => {
    const other = folder(EARLY, '{}', LARGE);
    const id = await brokenOff('one', folder(undefined, '{}', LARGE), 2 * PIECE);
    const base = await importBase('two', other);
    expect([base.id, base.name]).toEqual([id, 'two']);
    await expectContent(id, other);

    const empty = await brokenOff('three', folder(LATE, '{}', LARGE), 2 * PIECE);
    // A crash may leave a file of its length and no bytes.
    (await keptFile(empty, 1)).bytes.fill(0, PIECE);
    await importBase('three', folder(LATE, '{}', LARGE));
    await expectContent(empty, folder(LATE, '{}', LARGE));
  });

  it('is finished where it began when its folder is picked, also where the same files have arrived under another name', async () => {
    const arrived = await importBase('arrived', folder());
    const half = { ...arrived, id: newId(), name: 'half', complete: false };
    await (await database()).put('bases', half);
    const finished = await importBase('half', folder());
    expect([finished.id, finished.complete]).toEqual([half.id, true]);
    await expectContent(half.id, folder());
    expect(await importBase('arrived', folder())).toMatchObject({ complete: true });
    expect(await listBases()).toHaveLength(2);
  });

  it('of a longer file is cut', async () => {
    const id = await brokenOff('one', folder(), 1);
    (await keptFile(id, 0)).resize(100);
    const base = await importBase('one', folder());
    expect(base.id).toBe(id);
    await expectContent(id, folder());
  });

  it('with another config stays for its own folder', async () => {
    const id = await brokenOff('one', folder(), 1);
    const other = await importBase('one', folder(undefined, '{"a":2}'));
    expect(other.id).not.toBe(id);
    expect((await getBase(id))?.complete).toBe(false);
    expect((await importBase('one', folder())).id).toBe(id);
  });
});

describe('a base of an older page', () => {
  it('keeps its id and gets its digests when its folder is read again', async () => {
    const files = folder(undefined, '{}', LARGE);
    const base = await importBase('one', files);
    await withoutDigests(base.id);
    await expectContent(base.id, files);
    expect(await importBase('one', files)).toEqual(base);
    expect(await getBase(base.id)).toEqual(base);
  });

  it.each<[string, IncomingFile[]]>([
    ['another config', folder(undefined, '{"a":2}', LARGE)],
    ['other weights', folder(LATE, '{"a":1}', LARGE)],
  ])('is not taken for a folder of the same names and sizes with %s', async (_what, other) => {
    const files = folder(undefined, '{"a":1}', LARGE);
    const base = await importBase('one', files);
    await withoutDigests(base.id);
    expect((await importBase('one', other)).id).not.toBe(base.id);
    await expectContent(base.id, files);
  });

  it('that broke off goes on over the same content', async () => {
    const files = folder(undefined, '{}', LARGE);
    const id = await brokenOff('one', files, PIECE);
    await withoutDigests(id);
    const base = await importBase('one', files);
    expect(base.id).toBe(id);
    await expectContent(id, files);
  });

  it('whose files are gone is none that a folder could be', async () => {
    const base = await importBase('one', folder());
    await withoutDigests(base.id);
    await (await root.getDirectoryHandle('bases')).removeEntry(base.id);
    const again = await importBase('one', folder());
    expect(again.id).not.toBe(base.id);
    await deleteBase(base.id);
    expect((await listBases()).map(({ id }) => id)).toEqual([again.id]);
  });
});
