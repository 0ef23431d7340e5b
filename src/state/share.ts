import type { RunRecord } from '../storage/records.ts';
import { openProject } from './project.svelte.ts';
import { modelWorker } from './workers.ts';

/** A name that every file system takes. */
export function fileName(name: string): string {
  const plain = name
    .normalize('NFKD')
    .replace(/[^\w-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .toLowerCase();
  return plain === '' ? 'adapter' : plain.slice(0, 60);
}

/** Tells checkpoints apart. */
export const checkpointKey = ({ runId, step }: { runId: string; step: number }): string => `${runId}/${step}`;

/** The PEFT folder of a checkpoint with a model card, and whatever else belongs to it. */
export async function peftFolder(
  run: RunRecord,
  step: number,
  card: string,
  others: ReadonlyMap<string, Uint8Array> = new Map(),
): Promise<Map<string, Uint8Array>> {
  const name = openProject.project?.name ?? '';
  const files = await modelWorker().exportFiles({ runId: run.id, step }, { name });
  return new Map([...files, ...others, ['README.md', new TextEncoder().encode(card)]]);
}

/** A folder's files, one by one. */
export const toFileList = (files: ReadonlyMap<string, Uint8Array>): { name: string; bytes: Uint8Array }[] =>
  [...files].map(([name, bytes]) => ({ name, bytes }));

/** Hands bytes to the browser as a download. */
export function download(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads the address when it begins to write; a minute is plenty.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
