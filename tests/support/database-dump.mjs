/** @import { DatabaseFixture, StoreFixture, Tagged } from './database-fixture.ts' */

/**
 * A database of this place as it is, as a fixture without files. Stands on its own feet: it also runs inside of a page.
 * @param {string} name
 * @returns {Promise<DatabaseFixture>}
 */
export async function dumpDatabase(name) {
  /** @param {ArrayBufferLike} buffer @param {number} [start] @param {number} [length] */
  const base64 = (buffer, start, length) =>
    btoa(Array.from(new Uint8Array(buffer, start, length), (byte) => String.fromCharCode(byte)).join(''));
  /** @param {unknown} value @returns {Promise<Tagged>} */
  const tagged = async (value) => {
    if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
    if (value === undefined) return { $: 'undefined' };
    if (typeof value === 'number') {
      const text = Object.is(value, -0) ? '-0' : String(value);
      return Number.isFinite(value) && text !== '-0' ? value : { $: 'number', text };
    }
    if (Array.isArray(value)) return Promise.all(value.map(tagged));
    if (value instanceof Blob) {
      const kept = { type: value.type, base64: base64(await value.arrayBuffer()) };
      if (!(value instanceof File)) return { $: 'Blob', ...kept };
      return { $: 'File', name: value.name, lastModified: value.lastModified, ...kept };
    }
    if (value instanceof ArrayBuffer) return { $: 'ArrayBuffer', base64: base64(value) };
    if (value instanceof Uint8Array || value instanceof Float32Array) {
      const { buffer, byteOffset, byteLength } = value;
      const kind = value instanceof Uint8Array ? 'Uint8Array' : 'Float32Array';
      return { $: kind, base64: base64(buffer, byteOffset, byteLength) };
    }
    if (typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype || '$' in value) {
      throw new Error(`A record holds what a fixture has no word for: ${Object.prototype.toString.call(value)}.`);
    }
    /** @type {[string, Tagged][]} */
    const entries = [];
    for (const [key, one] of Object.entries(value)) entries.push([key, await tagged(one)]);
    return Object.fromEntries(entries);
  };
  /** @template R @param {IDBRequest<R>} request @returns {Promise<R>} */
  const done = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const db = await done(indexedDB.open(name));
  try {
    /** @type {StoreFixture[]} */
    const stores = [];
    for (const storeName of db.objectStoreNames) {
      const store = db.transaction(storeName).objectStore(storeName);
      const { keyPath, autoIncrement } = store;
      const indexes = [...store.indexNames].map((indexName) => {
        const index = store.index(indexName);
        return { name: indexName, keyPath: index.keyPath, unique: index.unique, multiEntry: index.multiEntry };
      });
      const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
      const records = [];
      for (const [i, value] of values.entries()) {
        records.push({ ...(keyPath === null ? { key: await tagged(keys[i]) } : {}), value: await tagged(value) });
      }
      stores.push({ name: storeName, keyPath, autoIncrement, indexes, records });
    }
    return { name, version: db.version, stores, files: [] };
  } finally {
    db.close();
  }
}

/**
 * All files of a folder of OPFS. Runs inside of a page.
 * @param {string} folder its name below the root
 * @returns {Promise<DatabaseFixture['files']>}
 */
export async function dumpFiles(folder) {
  /** @type {DatabaseFixture['files']} */
  const files = [];
  /** @param {FileSystemDirectoryHandle} directory @param {string} path */
  const walk = async (directory, path) => {
    for await (const [name, handle] of directory.entries()) {
      const below = `${path}/${name}`;
      if (handle.kind === 'directory') {
        await walk(/** @type {FileSystemDirectoryHandle} */ (handle), below);
      } else {
        const file = await /** @type {FileSystemFileHandle} */ (handle).getFile();
        const bytes = new Uint8Array(await file.arrayBuffer());
        const base64 = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
        files.push({ path: below, base64 });
      }
    }
  };
  await walk(await (await navigator.storage.getDirectory()).getDirectoryHandle(folder), folder);
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}
