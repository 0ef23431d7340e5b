import type { RunRecord } from '../../storage/records.ts';
import { embeddedBase } from '../../worker/embedded-bases.ts';
import { bases } from '../base.svelte.ts';
import { openProject } from '../project.svelte.ts';
import { peftFolder } from '../share.ts';
import { modelCard } from './card.ts';

/** The PEFT folder of a voice's checkpoint with the model card written from the project. */
export function exportVoice(run: RunRecord, step: number): Promise<Map<string, Uint8Array>> {
  const { project, dataset } = openProject;
  if (!project) throw new Error('no project is open');
  const card = modelCard({
    project,
    run,
    step,
    rowCount: dataset?.rowCount ?? 0,
    characters: dataset?.characters ?? 0,
    baseName: bases.name(run.baseId),
    embedded: embeddedBase(run.baseId) !== undefined,
  });
  return peftFolder(run, step, card);
}
