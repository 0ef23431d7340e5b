import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { FIXTURES } from './disk-folder.ts';

/**
 * A database as an older build of the page left it: every store with its keys, indexes and records, and the files in OPFS that
 * its records speak of. Written by tests/support/write-database-fixture.mjs.
 */
export interface DatabaseFixture {
  name: string;
  version: number;
  stores: StoreFixture[];
  /** Files below the root of OPFS; bytes in base64. */
  files: { path: string; base64: string }[];
}

export interface StoreFixture {
  name: string;
  keyPath: string | string[] | null;
  autoIncrement: boolean;
  indexes: { name: string; keyPath: string | string[]; unique: boolean; multiEntry: boolean }[];
  /** In the order of their keys; `key` where the store's keys stand outside of the values. */
  records: { key?: Tagged; value: Tagged }[];
}

/**
 * A value of IndexedDB in JSON. Plain values, lists and objects are themselves; what JSON has no word for is an object whose only
 * keys are `$` (Blob, File, Uint8Array, Float32Array, ArrayBuffer, undefined, number) and what that one needs.
 */
export type Tagged = null | boolean | number | string | Tagged[] | { [key: string]: Tagged };

/** tests/fixtures/<folder>/database.json.gz */
export function readDatabaseFixture(folder: string): DatabaseFixture {
  const packed = readFileSync(join(FIXTURES, folder, 'database.json.gz'));
  return JSON.parse(gunzipSync(packed).toString('utf8')) as DatabaseFixture;
}

/** The records of a store, as values: what reading them from the restored database gives. */
export function fixtureRecords<T>(fixture: DatabaseFixture, store: string): T[] {
  const found = fixture.stores.find(({ name }) => name === store);
  if (!found) throw new Error(`The fixture has no store ${store}.`);
  return found.records.map(({ value }) => untagged(value) as T);
}

/** The value that was tagged. This and the functions below run inside of a page too: they use nothing from around them. */
export function untagged(given: Tagged): unknown {
  const bytesOf = (base64: unknown): Uint8Array<ArrayBuffer> =>
    Uint8Array.from(atob(base64 as string), (character) => character.charCodeAt(0));
  const plain = (value: Tagged): unknown => {
    if (value === null || typeof value !== 'object') return value;
    if (Array.isArray(value)) return value.map(plain);
    const { $: kind, type, base64, name, lastModified, text } = value;
    switch (kind) {
      case undefined:
        return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
      case 'undefined':
        return undefined;
      case 'number':
        return Number(text);
      case 'Blob':
        return new Blob([bytesOf(base64)], { type: type as string });
      case 'File':
        return new File([bytesOf(base64)], name as string, {
          type: type as string,
          lastModified: lastModified as number,
        });
      case 'Uint8Array':
        return bytesOf(base64);
      case 'Float32Array':
        return new Float32Array(bytesOf(base64).buffer);
      case 'ArrayBuffer':
        return bytesOf(base64).buffer;
      default:
        throw new Error(`The fixture holds a ${String(kind)}, which cannot be restored.`);
    }
  };
  return plain(given);
}

/** Deletes a database of this place; connections that give way to newer ones are closed by it. */
export function deleteDatabase(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(name);
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error ?? new Error(`The database ${name} could not be deleted.`));
  });
}

/**
 * Makes the fixture's database in this place at the fixture's version; one of the same name is deleted first. `decode` and
 * `remove` are given where this function was carried into a page alone.
 */
export async function restoreDatabase(
  fixture: DatabaseFixture,
  decode: (given: Tagged) => unknown = untagged,
  remove: (name: string) => Promise<void> = deleteDatabase,
): Promise<void> {
  const done = <R>(request: IDBRequest<R>): Promise<R> =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  await remove(fixture.name);
  const opening = indexedDB.open(fixture.name, fixture.version);
  opening.onupgradeneeded = () => {
    for (const { name, keyPath, autoIncrement, indexes } of fixture.stores) {
      const store = opening.result.createObjectStore(name, { keyPath, autoIncrement });
      for (const index of indexes) {
        store.createIndex(index.name, index.keyPath, { unique: index.unique, multiEntry: index.multiEntry });
      }
    }
  };
  const db = await done(opening);
  try {
    const write = db.transaction(
      fixture.stores.map(({ name }) => name),
      'readwrite',
    );
    for (const { name, records } of fixture.stores) {
      const store = write.objectStore(name);
      for (const { key, value } of records) {
        store.put(decode(value), key === undefined ? undefined : (decode(key) as IDBValidKey));
      }
    }
    await new Promise<void>((resolve, reject) => {
      write.oncomplete = () => resolve();
      write.onabort = () => reject(write.error ?? new Error('The records could not be written.'));
    });
  } finally {
    db.close();
  }
}

/** Writes the fixture's files below the root of OPFS. */
export async function restoreFiles(files: DatabaseFixture['files']): Promise<void> {
  for (const { path, base64 } of files) {
    const folders = path.split('/');
    const name = folders.pop()!;
    let folder = await navigator.storage.getDirectory();
    for (const one of folders) folder = await folder.getDirectoryHandle(one, { create: true });
    const writable = await (await folder.getFileHandle(name, { create: true })).createWritable();
    await writable.write(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
    await writable.close();
  }
}

/**
 * Makes a visitor's browser one that was here with an older build: database and files lie there before the page at `url` is
 * opened. Leaves the browser at an address of the same origin that runs none of the page's code.
 */
export async function restoreInPage(page: Page, url: string, fixture: DatabaseFixture): Promise<void> {
  const before = new URL('before', url).href;
  await page.route(before, (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><link rel="icon" href="data:,">' }),
  );
  await page.goto(before);
  await page.unroute(before);
  const given = [JSON.stringify(fixture), untagged.toString(), deleteDatabase.toString()];
  await page.evaluate(`(${restoreDatabase.toString()})(${given.join(', ')})`);
  await page.evaluate(restoreFiles, fixture.files);
}
