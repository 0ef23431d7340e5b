import { existsSync } from 'node:fs';
import { openAsBlob } from 'node:fs';
import path from 'node:path';
import type { SourceFile } from '../../../src/datasets/source-file.ts';
import type { TrainingRow } from '../../../src/datasets/voice/rows.ts';

/** A file in memory that comes in pieces of the given size, or of sizes that `pieceSize` gives. */
export function sourceFile(
  name: string,
  content: string | Uint8Array,
  pieceSize: number | (() => number) = 65_536,
): SourceFile {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  return {
    name,
    size: bytes.length,
    stream() {
      let at = 0;
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          if (at >= bytes.length) {
            controller.close();
            return;
          }
          const size = typeof pieceSize === 'number' ? pieceSize : pieceSize();
          controller.enqueue(bytes.slice(at, at + size));
          at += size;
        },
      });
    },
  };
}

/** UTF-16 with its byte order mark. */
export function utf16(text: string, bigEndian: boolean): Uint8Array {
  const bytes = new Uint8Array(2 + text.length * 2);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xfeff, !bigEndian);
  for (let i = 0; i < text.length; i++) view.setUint16(2 + i * 2, text.charCodeAt(i), !bigEndian);
  return bytes;
}

/** Rows without their source and id, to compare what was read. */
export function bare(rows: readonly TrainingRow[]): Record<string, unknown>[] {
  return rows.map((row) => {
    const copy: Record<string, unknown> = { ...row };
    delete copy['source'];
    delete copy['id'];
    return copy;
  });
}

const root = path.resolve(import.meta.dirname, '../../..');

/** A folder of the shared material, or undefined where it is not there. */
export function sharedFolder(folder: string): string | undefined {
  const full = path.join(process.env['ATHANOR_SHARED'] ?? path.join(root, '../shared'), folder);
  return existsSync(full) ? full : undefined;
}

/** A file on disk. */
export async function diskFile(full: string): Promise<SourceFile> {
  const blob = await openAsBlob(full);
  return { name: path.basename(full), size: blob.size, stream: () => blob.stream() as ReadableStream<Uint8Array> };
}
