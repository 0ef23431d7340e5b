import { openDB } from 'idb';
import { storageError } from './errors.ts';
import { NAME, VERSION, type Database, type Schema } from './schema.ts';
import { upgrade } from './upgrade.ts';

let opened: Promise<Database> | null = null;

/**
 * The one connection of this thread. A newer page elsewhere that must upgrade the schema is let through: the connection
 * closes and the next call opens it anew.
 */
export function database(): Promise<Database> {
  opened ??= openDB<Schema>(NAME, VERSION, {
    upgrade: (db, from, _to, change) => upgrade(db, from, change),
    blocking(_current, _blocked, event) {
      (event.target as IDBDatabase).close();
      opened = null;
    },
    terminated() {
      opened = null;
    },
  }).catch((error: unknown) => {
    opened = null;
    throw storageError(error, 'your projects');
  });
  return opened;
}

/** All keys of a compound key [id, number or string] that begin with this id. */
export function keysOf(id: string): IDBKeyRange {
  // Arrays come after every number and string in the database's order.
  return IDBKeyRange.bound([id, -Infinity], [id, []]);
}

/** A random id, also where crypto.randomUUID is missing (pages not served over https). */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(36).padStart(2, '0')).join('');
}
