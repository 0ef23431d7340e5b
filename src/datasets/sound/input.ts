/** Sound files as they lie: anything that can be read in any place. */
import { sha256 } from '../look/file-bytes.ts';
import type { SoundInput } from './types.ts';

/** A Blob or File of the page; `name` may have folders. */
export function blobInput(name: string, blob: Blob): SoundInput {
  return {
    name,
    size: blob.size,
    read: async (start, end) => new Uint8Array(await blob.slice(start, end).arrayBuffer()),
  };
}

const PART = 4 << 20;

/**
 * Hex SHA-256 over the SHA-256 of each 4 MiB of the file, in order: what a file is known by. Not of the file at once, which the
 * platform only gives where all of it lies in memory.
 * @throws the signal's reason where it was aborted.
 */
export async function soundId(input: SoundInput, signal?: AbortSignal): Promise<string> {
  const parts: string[] = [];
  for (let at = 0; at < input.size; at += PART) {
    signal?.throwIfAborted();
    const bytes = await input.read(at, Math.min(input.size, at + PART));
    parts.push(await sha256(new Uint8Array(bytes)));
  }
  return sha256(new TextEncoder().encode(parts.join('')));
}
