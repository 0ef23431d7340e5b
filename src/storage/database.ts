import { openDB } from 'idb';
import { UserError } from '../common/errors.ts';
import { isQuota, storageError } from './errors.ts';
import { NAME, VERSION, type Database, type Schema } from './schema.ts';
import { upgrade } from './upgrade.ts';

let opened: Promise<Database> | null = null;

/** Why an upgrade failed. Whatever the reason, it is undone as a whole: the older page's database is still there. */
function upgradeError(reason: unknown): unknown {
  if (!isQuota(reason)) return reason;
  return new UserError(
    'This newer page keeps pictures in another place and needs room for a copy of them while it moves them, but the browser’s ' +
      'storage is full. Nothing was changed or lost. Free some disk space, then reload the page.',
  );
}

async function open(): Promise<Database> {
  let reason: unknown = null;
  try {
    return await openDB<Schema>(NAME, VERSION, {
      upgrade(db, from, _to, change) {
        // What fails when it commits, a full disk, is told by the transaction alone.
        change.done.catch((error: unknown) => {
          reason ??= change.error ?? error;
        });
        upgrade(db, from, change).catch((error: unknown) => {
          reason ??= change.error ?? error;
          // An upgrade that stops half-way must not commit; one that a failed request has ended has done so itself.
          if (change.error === null) change.abort();
        });
      },
      blocking(_current, _blocked, event) {
        (event.target as IDBDatabase).close();
        opened = null;
      },
      terminated() {
        opened = null;
      },
    });
  } catch (error) {
    opened = null;
    throw storageError(upgradeError(reason) ?? error, 'your projects');
  }
}

/**
 * The one connection of this thread. A newer page elsewhere that must upgrade the schema is let through: the connection
 * closes and the next call opens it anew.
 */
export function database(): Promise<Database> {
  opened ??= open();
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
