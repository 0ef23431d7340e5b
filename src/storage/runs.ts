import { database, keysOf } from './database.ts';
import { withStorageErrors, storageError } from './errors.ts';
import { emptyPreview, extendPreview } from './preview.ts';
import type { CheckpointInfo, MetricsRecord, RunHistory, RunRecord } from './records.ts';

/** The runs of a project, the newest first. */
export async function listRuns(projectId: string): Promise<RunRecord[]> {
  const runs = await (await database()).getAllFromIndex('runs', 'project', projectId);
  return runs.sort((a, b) => b.startedAt - a.startedAt);
}

export async function getRun(id: string): Promise<RunRecord | undefined> {
  return (await database()).get('runs', id);
}

export async function saveRun(run: RunRecord): Promise<void> {
  await withStorageErrors('the state of the run', async () => {
    await (await database()).put('runs', run);
  });
}

/** Stores in which a run's history lies: its preview changes with it, or neither does. */
const HISTORY = ['metrics', 'previews', 'previewPictures'] as const;

/** Appends a piece of a run's history. */
export async function appendMetrics(piece: MetricsRecord): Promise<void> {
  await withStorageErrors('the loss curve', async () => {
    const change = (await database()).transaction(HISTORY, 'readwrite');
    const record = await change.objectStore('previews').get(piece.runId);
    const preview = extendPreview({ ...emptyPreview(piece.runId), ...(record && { record }) }, piece);
    const { picture } = preview;
    await Promise.all([
      change.objectStore('metrics').put(piece),
      change.objectStore('previews').put(preview.record),
      picture && change.objectStore('previewPictures').put(picture, piece.runId),
      change.done,
    ]);
  });
}

/** What lists show of a run: at most CURVE_POINTS losses, and the newest picture. Reads no history. */
export async function readPreview(runId: string): Promise<{ losses: readonly number[]; picture: Blob | null }> {
  const db = await database();
  const [record, picture] = await Promise.all([db.get('previews', runId), db.get('previewPictures', runId)]);
  return { losses: record?.losses ?? [], picture: picture ?? null };
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

/** What the files made along the way take. */
export async function sampleFileBytes(runId: string): Promise<number> {
  const db = await database();
  const [record, picture] = await Promise.all([db.get('previews', runId), db.get('previewPictures', runId)]);
  return (record?.sampleBytes ?? 0) + (picture?.size ?? 0);
}

/** Changes a run's history piece by piece, and its preview to what is left. Returns the next sequence number. */
async function changeHistory(runId: string, after: (piece: MetricsRecord) => MetricsRecord): Promise<number> {
  return withStorageErrors('the loss curve', async () => {
    const change = (await database()).transaction(HISTORY, 'readwrite');
    let preview = emptyPreview(runId);
    let next = 0;
    let cursor = await change.objectStore('metrics').openCursor(keysOf(runId));
    for (; cursor; cursor = await cursor.continue()) {
      const piece = after(cursor.value);
      // A piece that stays is not written again: its pictures would be copied.
      if (piece !== cursor.value) await cursor.update(piece);
      preview = extendPreview(preview, piece);
      next = piece.sequence + 1;
    }
    const pictures = change.objectStore('previewPictures');
    await Promise.all([
      change.objectStore('previews').put(preview.record),
      preview.picture ? pictures.put(preview.picture, runId) : pictures.delete(runId),
      change.done,
    ]);
    return next;
  });
}

/** Forgets the files made along the way; the rest of the run stays. */
export async function deleteSampleFiles(runId: string): Promise<void> {
  await changeHistory(runId, (piece) => {
    const texts = piece.samples.filter(({ base }) => typeof base === 'string');
    return texts.length < piece.samples.length ? { ...piece, samples: texts } : piece;
  });
}

/**
 * Forgets what a run recorded after `step`, for it goes on from there. Returns the next sequence number.
 */
export async function rewindHistory(runId: string, step: number): Promise<number> {
  const isLate = (point: { step: number }): boolean => point.step > step;
  const upTo = <P extends { step: number }>(points: P[]): P[] => points.filter((point) => !isLate(point));
  return changeHistory(runId, (piece) => {
    const { steps, evaluations, samples } = piece;
    if (![...steps, ...evaluations, ...samples].some(isLate)) return piece;
    return { ...piece, steps: upTo(steps), evaluations: upTo(evaluations), samples: upTo(samples) };
  });
}

export async function listCheckpoints(runId: string): Promise<CheckpointInfo[]> {
  return (await database()).getAll('checkpoints', keysOf(runId));
}

export async function readCheckpoint(runId: string, step: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  return (await database()).get('checkpointBytes', [runId, step]);
}

async function dropCheckpoints(keys: IDBKeyRange | [string, number]): Promise<void> {
  const write = (await database()).transaction(['checkpoints', 'checkpointBytes'], 'readwrite');
  await Promise.all([
    write.objectStore('checkpoints').delete(keys),
    write.objectStore('checkpointBytes').delete(keys),
    write.done,
  ]);
}

/** Deletes the checkpoints of a run; what it learnt is gone with them. */
export async function deleteCheckpoints(runId: string): Promise<void> {
  await dropCheckpoints(keysOf(runId));
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
export async function saveCheckpoint(
  at: { runId: string; step: number; createdAt: number },
  bytes: Uint8Array<ArrayBuffer>,
  limit: number,
  keep: readonly number[],
): Promise<void> {
  const db = await database();
  const { runId, step } = at;
  const others = async (): Promise<number[]> =>
    (await db.getAllKeys('checkpoints', keysOf(runId))).map((key) => key[1]).filter((other) => other !== step);
  for (;;) {
    try {
      const write = db.transaction(['checkpoints', 'checkpointBytes'], 'readwrite');
      await Promise.all([
        write.objectStore('checkpoints').put({ ...at, size: bytes.byteLength }),
        write.objectStore('checkpointBytes').put(bytes, [runId, step]),
        write.done,
      ]);
      break;
    } catch (error) {
      const oldest = (await others()).filter((other) => !keep.includes(other)).sort((a, b) => a - b);
      // The last one left is the way back: it is not given up for a newer one that may not fit either.
      if (oldest.length < 2) throw storageError(error, `the checkpoint at step ${step}`);
      await dropCheckpoints([runId, oldest[0]!]);
    }
  }
  for (const dropped of checkpointsToDrop([...(await others()), step], limit, keep)) {
    await dropCheckpoints([runId, dropped]);
  }
}

export async function deleteRun(id: string): Promise<void> {
  await deleteCheckpoints(id);
  const db = await database();
  const change = db.transaction(HISTORY, 'readwrite');
  await Promise.all([
    change.objectStore('metrics').delete(keysOf(id)),
    change.objectStore('previews').delete(id),
    change.objectStore('previewPictures').delete(id),
    change.done,
  ]);
  await db.delete('runs', id);
}
