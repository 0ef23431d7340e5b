import type { ProjectRecord, RunRecord } from '../../storage/records.ts';
import { UserError } from '../../common/errors.ts';
import { zipFolder } from '../../common/zip.ts';
import { parseSoundLora } from '../../tasks/sound/adapter.ts';
import { makeSoundBundle } from '../../tasks/sound/bundle.ts';
import { parseRecipe, warmupSteps } from '../../training/recipe.ts';
import { embeddedBase } from '../../worker/embedded-bases.ts';
import { bases } from '../base.svelte.ts';
import { soundBaseFacts } from './info.ts';
import { openProject } from '../project.svelte.ts';
import { peftFolder } from '../share.ts';
import { soundCard, soundPrompt } from './card.ts';
import { dataWorker } from '../workers.ts';

/** A bundle is made in memory, its clips as WAV. */
const LONGEST_BUNDLE = 2 * 3600;
const SAMPLE = 'sample.wav';

/** The PEFT folder of a checkpoint with its model card, and a sound that lets it be heard where there is one. */
export async function exportSound(
  project: ProjectRecord,
  run: RunRecord,
  step: number,
  sample: Blob | null,
): Promise<Map<string, Uint8Array>> {
  const { dataset } = openProject;
  const card = soundCard({
    project,
    run,
    step,
    clips: dataset?.rowCount ?? 0,
    seconds: dataset?.seconds ?? 0,
    triggerWord: dataset?.words?.triggerWord ?? '',
    baseName: bases.name(run.baseId),
    embedded: embeddedBase(run.baseId) !== undefined,
    ...(sample ? { sample: SAMPLE } : {}),
  });
  const others = new Map(sample ? [[SAMPLE, new Uint8Array(await sample.arrayBuffer())]] : []);
  return peftFolder(run, step, card, others);
}

/** A zip that trains the same sound with musicgen-dreamboothing on a rented machine. */
export async function soundBundle(project: ProjectRecord, run: RunRecord): Promise<Uint8Array<ArrayBuffer>> {
  const { dataset } = openProject;
  const triggerWord = dataset?.words?.triggerWord ?? '';
  if ((dataset?.seconds ?? 0) > LONGEST_BUNDLE) {
    throw new UserError(
      'A bundle of more than two hours of music does not fit into the memory of a page. Leave some clips out under Data.',
    );
  }
  const { sampleRate, channels } = await soundBaseFacts(run.baseId);
  const recipe = parseRecipe(run.recipe, 'sound');
  const files = makeSoundBundle({
    name: project.name,
    clips: await dataWorker().sound.bundleClips(project.id, sampleRate, channels === 2 ? 2 : 1),
    recipe,
    lora: parseSoundLora(run.adapter),
    base: {
      name: embeddedBase(run.baseId)?.fileName ?? bases.name(run.baseId),
      repository: null,
      channels,
    },
    prompt: soundPrompt({ project, triggerWord }),
    triggerWord,
    steps: run.totalSteps,
    warmupSteps: warmupSteps(recipe, run.totalSteps),
  });
  return zipFolder(files);
}
