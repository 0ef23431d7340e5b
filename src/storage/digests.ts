import { UserError } from '../common/errors.ts';

/**
 * What a file holds, as SHA-256. A whole file has a digest for each of its pieces: so a file larger than memory is read once, in
 * order, two files part at the first piece that differs, and a copy that broke off goes on in the middle.
 */
export const PIECE = 16 * 1024 * 1024;
/** The safetensors library refuses longer heads too. */
const LONGEST_HEAD = 100_000_000;

/** A file to be kept: what it is called inside the folder, and where its bytes come from. */
export interface IncomingFile {
  path: string;
  file: Blob;
}

export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The bytes [start, end) of a file that the person picked. */
export async function readIncoming({ path, file }: IncomingFile, start: number, end: number) {
  try {
    return new Uint8Array(await file.slice(start, end).arrayBuffer());
  } catch {
    throw new UserError(
      `${path} can no longer be read: it was changed, moved or deleted meanwhile. Pick the folder again.`,
    );
  }
}

/** Where the head of a file ends: of a safetensors file what describes its tensors, of any other its first piece. */
async function headEnd(incoming: IncomingFile): Promise<number> {
  const { path, file } = incoming;
  if (!path.toLowerCase().endsWith('.safetensors')) return Math.min(PIECE, file.size);
  if (file.size < 8) return file.size;
  const length = new DataView((await readIncoming(incoming, 0, 8)).buffer).getBigUint64(0, true);
  return length > LONGEST_HEAD ? 8 : Math.min(8 + Number(length), file.size);
}

/** Tells files apart before they are read whole. */
export async function headDigest(incoming: IncomingFile): Promise<string> {
  return sha256(await readIncoming(incoming, 0, await headEnd(incoming)));
}

export const pieceCount = (size: number): number => Math.ceil(size / PIECE);

export async function pieceDigest(incoming: IncomingFile, piece: number): Promise<string> {
  return sha256(await readIncoming(incoming, piece * PIECE, (piece + 1) * PIECE));
}
