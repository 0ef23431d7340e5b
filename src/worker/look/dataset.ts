import type { NamedFile } from '../../common/named-file.ts';
import { bucketOptions } from '../../datasets/look/buckets.ts';
import { importPictures, type PictureFiles } from '../../datasets/look/import-pictures.ts';
import { reassessPictures } from '../../datasets/look/judge.ts';
import { pictureQuality, type PictureQuality } from '../../datasets/look/quality.ts';
import type { PictureDecoder, PictureReport, PictureRow } from '../../datasets/look/types.ts';
import { joinReports } from '../../datasets/report.ts';
import { dropUnusedFiles, readFile, writeFile } from '../../storage/datasets.ts';
import type { DatasetFileRecord } from '../../storage/records.ts';
import type { DatasetKind, DatasetState, DatasetTypes } from '../dataset-kind.ts';
import { applyPictureChange, type PictureChange } from './changes.ts';
import { lookRows } from './rows.ts';
import { captionFrom, changedMasks, type PictureSnapshot, type PictureWords } from './snapshot.ts';

export interface PictureState extends DatasetState {
  rows: readonly PictureRow[];
  words: PictureWords;
  quality: PictureQuality;
}

export interface PictureOptions {
  /** Proposed where there are no words yet. */
  triggerWord: string;
  /** Pixels a side that the run would use: shapes and warnings follow. */
  resolution: number;
}

export interface LookTypes extends DatasetTypes {
  snapshot: PictureSnapshot;
  /** The rows in the chunks in which they lie, and the masks: a change writes those that changed. */
  disk: Pick<PictureSnapshot, 'masks'> & { chunks: PictureRow[][] };
  change: PictureChange;
  options: PictureOptions;
  input: readonly NamedFile[];
  /** A picture that was read. */
  item: { row: PictureRow; thumbnail: Blob };
  report: PictureReport;
  state: PictureState;
}

const TEMPLATE = 'a photo of {word}';

function pictureFile(datasetId: string, id: string, files: PictureFiles) {
  const { picture, format, thumbnail, mask } = files;
  return {
    datasetId,
    id,
    file: new Blob([picture], { type: `image/${format}` }),
    thumbnail: new Blob([thumbnail], { type: 'image/jpeg' }),
    mask: mask && new Blob([mask], { type: 'image/png' }),
  } satisfies DatasetFileRecord;
}

/** Pictures, read by a decoder: the browser's in the page. */
export const lookDataset = (decoder: PictureDecoder): DatasetKind<LookTypes> => ({
  empty: ({ triggerWord }) => ({ rows: [], words: { triggerWord, template: TEMPLATE }, masks: new Map() }),

  async read(record) {
    const chunks = await lookRows.readChunks(record.id);
    const rows = chunks.flat();
    await dropUnusedFiles(record.id, rows);
    const masks = new Map<string, Blob>();
    for (const { id, masked } of rows) {
      const mask = masked ? (await readFile(record.id, id))?.mask : null;
      if (mask) masks.set(id, mask);
    }
    const words = record.words ?? { triggerWord: '', template: TEMPLATE };
    return { snapshot: { rows, words, masks }, disk: { chunks, masks } };
  },

  async write(record, now, disk) {
    const masks = [...changedMasks(disk ?? { masks: new Map() }, now)];
    const changes = new Map(masks.map(([id, mask]) => [id, { mask }]));
    return { chunks: await lookRows.write(record, disk?.chunks ?? null, now.rows, changes), masks: now.masks };
  },

  describe: ({ rows, words, masks }) => ({
    rowCount: rows.length,
    characters: rows.reduce((sum, { caption }) => sum + caption.length, 0),
    fileBytes: rows.reduce((sum, { id, bytes = 0 }) => sum + bytes + (masks.get(id)?.size ?? 0), 0),
    cover: rows[0]?.id ?? null,
    words,
  }),

  change(before, change, { options: { resolution } }) {
    const after = applyPictureChange(before, change);
    // Shapes and near repeats depend on all pictures and their crops.
    if (change.kind === 'remove' || change.kind === 'set') {
      after.rows = reassessPictures(after.rows ?? before.rows, bucketOptions(resolution));
    }
    return after;
  },

  reopen({ rows }, { resolution }) {
    const settled = reassessPictures(rows, bucketOptions(resolution));
    return JSON.stringify(settled) === JSON.stringify(rows) ? null : { rows: settled };
  },

  async import(before, files, { signal, set, onProgress, onItem, record, keep }) {
    const { id: datasetId, pictures } = await record();
    const captioned = (row: PictureRow): PictureRow =>
      row.captionByHand || row.caption !== '' ? row : { ...row, caption: captionFrom(before.words, row) };
    const masks = new Map(before.masks);
    const { rows, report } = await importPictures(
      files.map(({ name, file }) => ({ name, size: file.size, stream: () => file.stream() })),
      decoder,
      {
        buckets: bucketOptions(set.options.resolution),
        existing: before.rows,
        signal,
        async keep(row, kept) {
          const file = pictureFile(datasetId, row.id, kept);
          await writeFile(file, 'the picture');
          if (file.mask) masks.set(row.id, file.mask);
          onItem({ row: captioned(row), thumbnail: file.thumbnail });
        },
      },
      ({ fraction, file, rows: count }) => onProgress({ fraction, file, count }),
    );
    const label = `Add ${report.kept} ${report.kept === 1 ? 'picture' : 'pictures'}`;
    const step = { label, fields: { rows: rows.map(captioned), masks } };
    await keep({ pictures: joinReports(pictures, report) }, report.kept > 0 ? step : undefined);
    return report;
  },

  size: ({ rows }) => rows.length,

  state: ({ rows, words }) => ({ rows, words, quality: pictureQuality(rows) }),
});
