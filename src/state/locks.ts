import { runLock } from '../worker/protocol.ts';

/** The projects that train at this moment, in this tab or another: their runs hold a lock named after them. */
export async function lockedRuns(): Promise<ReadonlySet<string>> {
  const { held = [] } = await navigator.locks.query();
  const prefix = runLock('');
  return new Set(held.flatMap(({ name }) => (name?.startsWith(prefix) ? [name.slice(prefix.length)] : [])));
}
