import { runLock } from '../worker/protocol.ts';

/** Does something with a project that does not train, in any tab, and keeps it from starting meanwhile; false where it trains. */
export function whileNotTraining(projectId: string, work: () => Promise<void>): Promise<boolean> {
  return navigator.locks.request(runLock(projectId), { ifAvailable: true }, async (lock) => {
    if (lock) await work();
    return lock !== null;
  });
}

/** The projects that train at this moment, in this tab or another: their runs hold a lock named after them. */
export async function lockedRuns(): Promise<ReadonlySet<string>> {
  const { held = [] } = await navigator.locks.query();
  const prefix = runLock('');
  return new Set(held.flatMap(({ name }) => (name?.startsWith(prefix) ? [name.slice(prefix.length)] : [])));
}
