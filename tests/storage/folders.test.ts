import { describe, expect, it } from 'vitest';
import type { ModelFolder } from '../../src/models/files/folder.ts';
import { PickedFolder, UrlFolder } from '../../src/storage/folders.ts';

const bytes = new Uint8Array([1, 2, 3, 4, 5]);
const folder: ModelFolder = new PickedFolder('model', new Map([['a.bin', new File([bytes], 'a.bin')]]));

describe('a picked folder', () => {
  it('reads pieces of its files', async () => {
    expect(folder.files).toEqual(['a.bin']);
    expect(await folder.size('a.bin')).toBe(5);
    expect(await folder.read('a.bin')).toEqual(bytes);
    expect(await folder.read('a.bin', 1, 3)).toEqual(bytes.slice(1, 3));
    expect(await folder.read('a.bin', 5, 5)).toEqual(new Uint8Array());
  });

  it('names a missing file and one that is too short', async () => {
    await expect(folder.read('b.bin')).rejects.toThrow('“model” has no file b.bin.');
    await expect(folder.read('a.bin', 0, 6)).rejects.toThrow(/a\.bin in “model” is shorter/);
  });

  it('says of a file that was changed meanwhile that it must be picked again', async () => {
    const broken = {
      size: 5,
      slice: () => ({ arrayBuffer: () => Promise.reject(new DOMException('gone', 'NotReadableError')) }),
    };
    const gone = new PickedFolder('model', new Map([['a.bin', broken as unknown as File]]));
    await expect(gone.read('a.bin')).rejects.toThrow(/changed, moved or deleted.*Pick the folder again/);
  });
});

describe('a folder beside the page', () => {
  it('fetches nothing that it was not told of', async () => {
    const url: ModelFolder = new UrlFolder('small', 'http://localhost:9/', ['config.json']);
    await expect(url.read('../secret')).rejects.toThrow('“small” has no file ../secret.');
  });

  it('says which file did not come, and tries again when asked again', async () => {
    const real = globalThis.fetch;
    let answers = 0;
    globalThis.fetch = () => Promise.resolve(answers++ === 0 ? new Response('', { status: 503 }) : new Response('{}'));
    try {
      const url = new UrlFolder('small', 'http://localhost:9/', ['config.json']);
      await expect(url.read('config.json')).rejects.toThrow(/config\.json of “small” could not be fetched.*503/);
      expect(await url.size('config.json')).toBe(2);
    } finally {
      globalThis.fetch = real;
    }
  });
});
