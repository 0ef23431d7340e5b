import 'fake-indexeddb/auto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { getBase, listBases } from '../../src/storage/bases.ts';
import { database } from '../../src/storage/database.ts';
import { findDataset, getDataset, readFile } from '../../src/storage/datasets.ts';
import { deleteProject, getProject, getSetting, listProjects } from '../../src/storage/projects.ts';
import { listCheckpoints, listRuns, readCheckpoint, readHistory } from '../../src/storage/runs.ts';
import { lookRows } from '../../src/worker/look/rows.ts';
import { songsAndClips, soundRows } from '../../src/worker/sound/rows.ts';
import { voiceRows } from '../../src/worker/voice/rows.ts';
import { dumpDatabase } from '../support/database-dump.mjs';
import {
  deleteDatabase,
  fixtureRecords,
  readDatabaseFixture,
  restoreDatabase,
  untagged,
  type DatabaseFixture,
  type StoreFixture,
  type Tagged,
} from '../support/database-fixture.ts';
import type {
  BaseV3,
  CheckpointV3,
  DatasetV3,
  MetricsV3,
  PictureFileV3,
  PictureRowsV3,
  ProjectV3,
  RowChunkV3,
  RunV3,
  SoundFileV3,
  SoundRowsV3,
} from '../support/database-v3.ts';

const fixture = readDatabaseFixture('database-v3');
const records = <T>(store: string): T[] => fixtureRecords<T>(fixture, store);

const projects = records<ProjectV3>('projects');
const datasets = records<DatasetV3>('datasets');
const runs = records<RunV3>('runs');
const bases = records<BaseV3>('bases');
/** A project as it is read now: the seeds of looks and sounds have become one. */
const present = ({ look, sound, ...project }: ProjectV3) => ({
  ...project,
  sampleSeed: { voice: 1, look: look.sampleSeed, sound: sound.sampleSeed }[project.task],
});
const pictureFiles = records<PictureFileV3>('pictureFiles');
/** A data set as it is read now: what its files take has one name, and Home knows which picture comes first. */
const presentSet = ({ pictureBytes, soundBytes, ...dataset }: DatasetV3) => {
  const fileBytes = pictureBytes ?? soundBytes;
  const pictures = records<PictureRowsV3>('pictureRows').find(({ datasetId }) => datasetId === dataset.id);
  return {
    ...dataset,
    ...(fileBytes !== undefined && { fileBytes }),
    ...(pictures && { cover: pictures.rows[0]!.id }),
  };
};
const newest = (of: RunV3[]): RunV3[] => [...of].sort((a, b) => b.startedAt - a.startedAt);

/** A value in which every file is its type and bytes: two Blobs are equal to `toEqual` whatever they hold. */
async function comparable(value: unknown): Promise<unknown> {
  if (value instanceof Blob) {
    return { type: value.type, base64: Buffer.from(await value.arrayBuffer()).toString('base64') };
  }
  if (Array.isArray(value)) return Promise.all(value.map(comparable));
  if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return value;
  const entries = Object.entries(value).map(async ([name, one]) => [name, await comparable(one)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

async function expectSame(read: unknown, written: unknown): Promise<void> {
  expect(await comparable(read)).toEqual(await comparable(written));
}

describe('the fixture', () => {
  it('holds every kind of record that there was', () => {
    expect(fixture.stores.filter((store) => store.records.length === 0)).toEqual([]);
    expect(new Set(projects.map(({ task }) => task))).toEqual(new Set(['voice', 'look', 'sound']));
    expect(projects.map(({ votes }) => votes)).toEqual(
      expect.arrayContaining([
        { better: 1, same: 0, worse: 0 },
        { better: 0, same: 1, worse: 0 },
        { better: 0, same: 0, worse: 1 },
      ]),
    );
    expect(projects.some(({ realPerson }) => realPerson)).toBe(true);
    expect(new Set(runs.map(({ status }) => status))).toEqual(new Set(['finished', 'stopped', 'failed', 'running']));
    expect(new Set(bases.map(({ complete }) => complete))).toEqual(new Set([true, false]));
    const rows = records<RowChunkV3>('rows');
    expect(new Set(rows.flatMap((chunk) => chunk.rows).map(({ kind }) => kind))).toEqual(
      new Set(['text', 'messages', 'completion']),
    );
    expect(Math.max(...rows.map(({ index }) => index))).toBeGreaterThan(0);
    const masks = pictureFiles.map(({ mask }) => mask !== null);
    expect(new Set(masks)).toEqual(new Set([true, false]));
    const [sounds] = records<SoundRowsV3>('soundRows');
    expect(new Set(sounds!.clips.map(({ kept }) => kept))).toEqual(new Set([true, false]));
    const metrics = records<MetricsV3>('metrics');
    for (const points of ['steps', 'evaluations', 'samples', 'pictures', 'sounds'] as const) {
      expect(
        metrics.some((record) => (record[points] ?? []).length > 0),
        points,
      ).toBe(true);
    }
  });

  it('comes back as it was dumped', async () => {
    await restoreDatabase(fixture);
    const dumped = await dumpDatabase(fixture.name);
    // Node keeps a File as a Blob.
    const asNode = JSON.stringify(fixture.stores, (_, value: Record<string, unknown> | null) =>
      value?.['$'] === 'File' ? { $: 'Blob', type: value['type'], base64: value['base64'] } : value,
    );
    expect(dumped).toEqual({ ...fixture, stores: JSON.parse(asNode) as StoreFixture[], files: [] });
  });
});

describe('a database of version 3', () => {
  beforeEach(() => restoreDatabase(fixture));

  it('gives all projects, the last changed first, and the settings', async () => {
    const sorted = [...projects].sort((a, b) => b.changedAt - a.changedAt);
    await expectSame(await listProjects(), sorted.map(present));
    for (const project of projects) await expectSame(await getProject(project.id), present(project));
    for (const { key, value } of fixture.stores.find(({ name }) => name === 'settings')!.records) {
      expect(await getSetting(untagged(key!) as string)).toEqual(untagged(value));
    }
  });

  it('gives all data sets and rows', async () => {
    for (const dataset of datasets) {
      await expectSame(await getDataset(dataset.id), presentSet(dataset));
      await expectSame(await findDataset(dataset.projectId), presentSet(dataset));
      const { task } = projects.find(({ id }) => id === dataset.projectId)!;
      if (task !== 'voice') continue;
      const chunks = records<RowChunkV3>('rows').filter(({ datasetId }) => datasetId === dataset.id);
      await expectSame(
        await voiceRows.readChunks(dataset.id),
        chunks.map(({ rows }) => rows),
      );
      expect(await voiceRows.read(dataset.id)).toHaveLength(dataset.rowCount);
    }
  });

  it('gives all pictures with thumbnails and masks, and knows what they take', async () => {
    for (const { datasetId, rows } of records<PictureRowsV3>('pictureRows')) {
      const bytes = (id: string): number => {
        const { picture, thumbnail } = pictureFiles.find((one) => one.datasetId === datasetId && one.id === id)!;
        return picture.size + thumbnail.size;
      };
      await expectSame(
        await lookRows.read(datasetId),
        rows.map((row) => ({ ...row, bytes: bytes(row.id) })),
      );
    }
    for (const { datasetId, id, picture, thumbnail, mask } of pictureFiles) {
      await expectSame(await readFile(datasetId, id), { datasetId, id, file: picture, thumbnail, mask });
    }
  });

  it('gives all songs, clips and waveforms', async () => {
    for (const { datasetId, files, clips } of records<SoundRowsV3>('soundRows')) {
      await expectSame(songsAndClips(await soundRows.read(datasetId)), { files, clips });
    }
    for (const song of records<SoundFileV3>('soundFiles')) {
      await expectSame(await readFile(song.datasetId, song.id), song);
    }
  });

  it('gives all runs with everything that happened in them', async () => {
    const metrics = records<MetricsV3>('metrics');
    for (const { id } of projects) {
      await expectSame(await listRuns(id), newest(runs.filter(({ projectId }) => projectId === id)));
    }
    for (const run of runs) {
      const pieces = metrics.filter(({ runId }) => runId === run.id);
      await expectSame(await readHistory(run.id), {
        steps: pieces.flatMap(({ steps }) => steps),
        evaluations: pieces.flatMap(({ evaluations }) => evaluations),
        samples: pieces.flatMap(({ samples, pictures = [], sounds = [] }) => [...samples, ...pictures, ...sounds]),
      });
    }
  });

  it('gives all checkpoints', async () => {
    const infos = records<CheckpointV3>('checkpoints');
    const bytes = records<Uint8Array>('checkpointBytes');
    for (const run of runs) {
      await expectSame(
        await listCheckpoints(run.id),
        infos.filter(({ runId }) => runId === run.id),
      );
    }
    // Both stores are in the order of the same keys.
    for (const [i, { runId, step, size }] of infos.entries()) {
      const read = await readCheckpoint(runId, step);
      expect(read).toHaveLength(size);
      expect(Buffer.compare(read!, bytes[i]!)).toBe(0);
    }
  });

  it('gives all bases, also what did not fully arrive', async () => {
    await expectSame(
      await listBases(),
      [...bases].sort((a, b) => b.createdAt - a.createdAt),
    );
    for (const base of bases) await expectSame(await getBase(base.id), base);
  });

  it('leaves nothing behind of deleted projects, and takes nothing from others', async () => {
    const [kept, ...others] = projects;
    for (const { id } of others) await deleteProject(id);
    const dataset = datasets.find(({ projectId }) => projectId === kept!.id)!;
    await expectSame(await listProjects(), [present(kept!)]);
    await expectSame(await getDataset(dataset.id), presentSet(dataset));
    expect(await listRuns(kept!.id)).not.toEqual([]);
    await deleteProject(kept!.id);
    const { stores } = await dumpDatabase(fixture.name);
    const left = stores.filter((store) => store.records.length > 0).map(({ name }) => name);
    expect(left).toEqual(['bases', 'settings']);
  });
});

/** The stores that came with later versions than the first. */
const SINCE: Record<string, number> = { pictureRows: 2, pictureFiles: 2, soundRows: 3, soundFiles: 3 };

/** The voices of the fixture as an older version of the page left them, which knew nothing else. */
function olderVoices(version: 1 | 2): DatabaseFixture {
  const voices = projects.filter(({ task }) => task === 'voice').map(({ id }) => id);
  const known = new Set([
    ...voices,
    ...[...datasets, ...runs].filter(({ projectId }) => voices.includes(projectId)).map(({ id }) => id),
    ...bases.map(({ id }) => id),
  ]);
  const unknown = new Set(['look', 'sound', 'pictures', 'sounds', ...(version === 1 ? ['task'] : [])]);
  const older = (store: StoreFixture): StoreFixture['records'] => {
    if (store.name === 'settings') return store.records;
    return store.records.flatMap(({ key, value }): StoreFixture['records'] => {
      const record = value as Record<string, Tagged>;
      const owner = Array.isArray(key) ? key[0] : (record['runId'] ?? record['datasetId'] ?? record['id']);
      if (!known.has(owner as string)) return [];
      if (key !== undefined) return [{ key, value }];
      return [{ value: Object.fromEntries(Object.entries(record).filter(([name]) => !unknown.has(name))) }];
    });
  };
  const stores = fixture.stores
    .filter(({ name }) => (SINCE[name] ?? 1) <= version)
    .map((store) => ({ ...store, records: older(store) }));
  return { ...fixture, version, stores };
}

describe.each([1, 2] as const)('a database of version %d', (version) => {
  const voices = projects.filter(({ task }) => task === 'voice');
  beforeEach(() => restoreDatabase(olderVoices(version)));

  it('gives its voices, with what later versions added', async () => {
    expect(voices).toHaveLength(2);
    const sorted = [...voices].sort((a, b) => b.changedAt - a.changedAt);
    await expectSame(await listProjects(), sorted.map(present));
    for (const { id, datasetId } of voices) {
      const chunks = records<RowChunkV3>('rows').filter((chunk) => chunk.datasetId === datasetId);
      await expectSame(
        await voiceRows.read(datasetId!),
        chunks.flatMap(({ rows }) => rows),
      );
      await expectSame(await listRuns(id), newest(runs.filter(({ projectId }) => projectId === id)));
    }
    const history = await readHistory(runs.find(({ baseId }) => baseId === 'embedded:voice')!.id);
    expect(history.samples.length).toBeGreaterThan(0);
    expect(history.samples.every(({ base }) => typeof base === 'string')).toBe(true);
    expect((await listBases()).map(({ name }) => name)).toEqual(['half-arrived', 'tiny-llama']);
  });
});

describe('an upgrade that fails', () => {
  afterEach(() => vi.restoreAllMocks());

  /** The database is as the older page left it, and is taken over once that can be. */
  async function expectUntouched(): Promise<void> {
    const { version, stores } = await dumpDatabase(fixture.name);
    expect(version).toBe(3);
    expect(stores.map(({ name, records: all }) => [name, all.length])).toEqual(
      fixture.stores.map(({ name, records: all }) => [name, all.length]),
    );
  }

  it('for want of room says so, leaves everything as it was, and is made again when there is some', async () => {
    await restoreDatabase(fixture);
    const put = IDBObjectStore.prototype.put;
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore, ...args) {
      if (this.name === 'files') throw new DOMException('full', 'QuotaExceededError');
      return put.apply(this, args);
    });
    await expect(listProjects()).rejects.toThrow(/needs room for a copy of them.*Nothing was changed or lost/);
    vi.restoreAllMocks();
    await expectUntouched();
    expect(await listProjects()).toHaveLength(projects.length);
  });

  it('over a record that is none leaves everything as it was', async () => {
    const broken = structuredClone(fixture);
    // What comes last in the upgrade.
    broken.stores.find(({ name }) => name === 'soundRows')!.records[0]!.value = { datasetId: 'none' };
    await restoreDatabase(broken);
    await expect(listProjects()).rejects.toThrow(TypeError);
    await expectUntouched();
  });
});

it('has the same stores and indexes whichever version it comes from', async () => {
  const schema = async (): Promise<unknown> => {
    await database();
    const { version, stores } = await dumpDatabase(fixture.name);
    return { version, stores: stores.map(({ records: _, ...store }) => store) };
  };
  await deleteDatabase(fixture.name);
  const fresh = await schema();
  for (const one of [olderVoices(1), olderVoices(2), fixture]) {
    await restoreDatabase(one);
    expect(await schema(), `from version ${one.version}`).toEqual(fresh);
  }
});
