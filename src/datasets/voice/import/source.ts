import { UserError } from '../../../common/errors.ts';
import type { SourceFile } from '../../source-file.ts';
import { SNIFF_BYTES, TextReading } from '../../text.ts';

/** Pieces that are decoded and read in one go: some milliseconds of work. */
const PIECE_BYTES = 1 << 18;

async function* pieces(file: SourceFile, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void> {
  const reader = file.stream().getReader();
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw new UserError(`“${file.name}” could not be read. If it was moved or changed, choose it again.`, {
          cause,
        });
      });
      if (done) return;
      for (let at = 0; at < value.length; at += PIECE_BYTES) {
        yield value.subarray(at, at + PIECE_BYTES);
        signal?.throwIfAborted();
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** The first piece, made of as many as it takes to recognise the file by, and the others after it. */
async function* withHead(source: AsyncGenerator<Uint8Array, void>): AsyncGenerator<Uint8Array, void> {
  let head: Uint8Array = new Uint8Array(0);
  let given = false;
  for await (const piece of source) {
    if (given) {
      yield piece;
      continue;
    }
    const longer = new Uint8Array(head.length + piece.length);
    longer.set(head);
    longer.set(piece, head.length);
    head = longer;
    if (head.length >= SNIFF_BYTES) {
      given = true;
      yield head;
    }
  }
  if (!given) yield head;
}

/**
 * A file's text, piece by piece, as TextReading reads it. `onBytes` is told how many bytes have been read. Throws a UserError
 * for anything that is no text.
 */
export async function* decodeText(
  file: SourceFile,
  signal?: AbortSignal,
  onBytes?: (bytes: number) => void,
): AsyncGenerator<string, void> {
  const reading = new TextReading(file.name);
  let bytes = 0;
  for await (const piece of withHead(pieces(file, signal))) {
    const text = reading.push(piece);
    bytes += piece.length;
    onBytes?.(bytes);
    yield text;
  }
  yield reading.end();
}
