import { database, keysOf } from './database.ts';
import { kept, storageError } from './errors.ts';
import type { CheckpointInfo, CheckpointRecord, MetricsRecord, RunHistory, RunRecord } from './records.ts';

/** The runs of a project, the newest first. */
export async function listRuns(projectId: string): Promise<RunRecord[]> {
  const runs = await (await database()).getAllFromIndex('runs', 'project', projectId);
  return runs.sort((a, b) => b.startedAt - a.startedAt);
}

export async function getRun(id: string): Promise<RunRecord | undefined> {
  return (await database()).get('runs', id);
}

export async function saveRun(run: RunRecord): Promise<void> {
  await kept('the state of the run', async () => {
    await (await database()).put('runs', run);
  });
}

export async function appendMetrics(record: MetricsRecord): Promise<void> {
  await kept('the loss curve', async () => {
    await (await database()).put('metrics', record);
  });
}

/** Everything that happened in a run up to now, in order. */
export async function readHistory(runId: string): Promise<RunHistory> {
  const records = await (await database()).getAll('metrics', keysOf(runId));
  return {
    steps: records.flatMap((record) => record.steps),
    evaluations: records.flatMap((record) => record.evaluations),
    samples: records.flatMap((record) => record.samples),
  };
}

/**
 * Forgets what a run recorded after `step`, for it goes on from there. Returns the next sequence number.
 */
export async function rewindHistory(runId: string, step: number): Promise<number> {
  const db = await database();
  const records = await db.getAll('metrics', keysOf(runId));
  const write = db.transaction('metrics', 'readwrite');
  const upTo = <P extends { step: number }>(points: P[]): P[] => points.filter((point) => point.step <= step);
  await Promise.all([
    ...records.map((record) =>
      write.store.put({
        ...record,
        steps: upTo(record.steps),
        evaluations: upTo(record.evaluations),
        samples: upTo(record.samples),
      }),
    ),
    write.done,
  ]);
  return Math.max(-1, ...records.map((record) => record.sequence)) + 1;
}

export async function listCheckpoints(runId: string): Promise<CheckpointInfo[]> {
  const records = await (await database()).getAll('checkpoints', keysOf(runId));
  return records.map(({ step, createdAt, bytes }) => ({ runId, step, createdAt, size: bytes.byteLength }));
}

export async function readCheckpoint(runId: string, step: number): Promise<CheckpointRecord | undefined> {
  return (await database()).get('checkpoints', [runId, step]);
}

export async function deleteCheckpoint(runId: string, step: number): Promise<void> {
  await (await database()).delete('checkpoints', [runId, step]);
}

/**
 * The steps to drop so that at most `limit` checkpoints stay: the newest and `keep` stay always, the rest thins out
 * evenly, so that earlier moments of the run can still be tried.
 */
export function checkpointsToDrop(steps: readonly number[], limit: number, keep: readonly number[] = []): number[] {
  const sorted = [...steps].sort((a, b) => a - b);
  const dropped: number[] = [];
  while (sorted.length > limit) {
    let drop = -1;
    let smallest = Infinity;
    for (let i = 0; i < sorted.length - 1; i++) {
      if (keep.includes(sorted[i]!)) continue;
      const gap = sorted[i + 1]! - (sorted[i - 1] ?? 0);
      if (gap < smallest) {
        smallest = gap;
        drop = i;
      }
    }
    if (drop < 0) break;
    dropped.push(sorted[drop]!);
    sorted.splice(drop, 1);
  }
  return dropped;
}

/**
 * Keeps a checkpoint, at most `limit` of a run. Where the disk is full, older ones of the same run make room; where
 * that is not enough it throws, and the older ones that are left stay as they are.
 */
export async function saveCheckpoint(record: CheckpointRecord, limit: number, keep: readonly number[]): Promise<void> {
  const db = await database();
  const steps = async (): Promise<number[]> =>
    (await db.getAllKeys('checkpoints', keysOf(record.runId))).map((key) => key[1]).filter((step) => step !== record.step);
  for (;;) {
    try {
      await db.put('checkpoints', record);
      break;
    } catch (error) {
      const oldest = (await steps()).filter((step) => !keep.includes(step)).sort((a, b) => a - b);
      // The last one left is the way back: it is not given up for a newer one that may not fit either.
      if (oldest.length < 2) throw storageError(error, `the checkpoint at step ${record.step}`);
      await db.delete('checkpoints', [record.runId, oldest[0]!]);
    }
  }
  for (const step of checkpointsToDrop([...(await steps()), record.step], limit, keep)) {
    await db.delete('checkpoints', [record.runId, step]);
  }
}

export async function deleteRun(id: string): Promise<void> {
  const db = await database();
  await db.delete('metrics', keysOf(id));
  await db.delete('checkpoints', keysOf(id));
  await db.delete('runs', id);
}
