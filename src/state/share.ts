import { zipFolder } from '../adapters/peft.ts';
import type { RunRecord } from '../storage/records.ts';
import { EMBEDDED_BASE } from '../worker/protocol.ts';
import { bases } from './base.svelte.ts';
import { modelCard } from './model-card.ts';
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

/** The PEFT folder of a checkpoint with the model card written from the project. */
export async function exportFolder(run: RunRecord, step: number): Promise<Map<string, Uint8Array>> {
  const { project, dataset } = openProject;
  if (!project) throw new Error('no project is open');
  await openProject.flush();
  const files = new Map(await modelWorker().exportAdapter(run.baseId, { runId: run.id, step }));
  const card = modelCard({
    project,
    run,
    step,
    rowCount: dataset?.rowCount ?? 0,
    characters: dataset?.characters ?? 0,
    baseName: bases.name(run.baseId),
    embedded: run.baseId === EMBEDDED_BASE,
  });
  files.set('README.md', new TextEncoder().encode(card));
  return files;
}

/** The same as one .zip file. */
export function zipped(files: ReadonlyMap<string, Uint8Array>): Uint8Array<ArrayBuffer> {
  return zipFolder(files);
}

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
