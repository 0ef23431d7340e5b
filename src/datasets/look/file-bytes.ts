import type { SourceFile } from '../source-file.ts';

/** A file's bytes, or null where it is longer than `most`, whatever its size says. */
export async function readAll(file: SourceFile, most: number): Promise<Uint8Array<ArrayBuffer> | null> {
  if (file.size > most) return null;
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = file.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
    if (length > most) {
      await reader.cancel();
      return null;
    }
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Hex. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
