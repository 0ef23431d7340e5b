import type { ProjectRecord, RunRecord } from '../../storage/records.ts';
import { zipFolder } from '../../common/zip.ts';
import { parseLookLora } from '../../tasks/look/adapter.ts';
import { makeKohyaBundle } from '../../tasks/look/bundle.ts';
import { parseRecipe, warmupSteps } from '../../training/recipe.ts';
import { embeddedBase } from '../../worker/embedded-bases.ts';
import { bases } from '../base.svelte.ts';
import { TASK, lookBaseFacts } from './info.ts';
import { lookCard } from './card.ts';
import { openProject } from '../project.svelte.ts';
import { fileName } from '../share.ts';
import { dataWorker, modelWorker } from '../workers.ts';

/** One thing to take away, and where it loads. */
export interface LookFile {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
  kind: 'kohya' | 'diffusers' | 'preview';
}

async function bytesOf(blob: Blob): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await blob.arrayBuffer());
}

/** kohya's and diffusers' file of a checkpoint, and the picture that shows beside it in ComfyUI and A1111. */
export async function exportLookFiles(
  project: ProjectRecord,
  run: RunRecord,
  step: number,
  preview: Blob | null,
): Promise<{ files: LookFile[]; card: string }> {
  const { dataset } = openProject;
  const triggerWord = dataset?.words?.triggerWord ?? '';
  const name = fileName(project.name);
  const { family } = await lookBaseFacts(run.baseId);
  const picture = preview ? await bytesOf(preview) : null;
  const files = await modelWorker().exportFiles(
    { runId: run.id, step },
    {
      name: project.name,
      triggerWord,
      ...(picture ? { preview: picture } : {}),
    },
  );
  const made = [...files].map(([path, bytes]): LookFile => {
    const diffusers = path.startsWith('pytorch_lora_weights');
    return { kind: diffusers ? 'diffusers' : 'kohya', name: diffusers ? path : `${name}.safetensors`, bytes };
  });
  if (picture) made.push({ kind: 'preview', name: `${name}.preview.png`, bytes: picture });
  const named = (kind: LookFile['kind']): string | undefined => made.find((file) => file.kind === kind)?.name;
  const shown = named('preview');
  const card = lookCard({
    project,
    run,
    step,
    pictures: dataset?.rowCount ?? 0,
    triggerWord,
    family,
    baseName: bases.name(run.baseId),
    repository: null,
    embedded: embeddedBase(run.baseId) !== undefined,
    kohyaFile: named('kohya') ?? null,
    diffusersFile: named('diffusers') ?? '',
    ...(shown === undefined ? {} : { preview: shown }),
  });
  return { files: made, card };
}

/** Everything in one .zip file, with the model card. */
export function lookZip(files: readonly LookFile[], card: string): Uint8Array<ArrayBuffer> {
  const all = files.map((file): [string, Uint8Array] => [file.name, file.bytes]);
  return zipFolder(new Map([...all, ['README.md', new TextEncoder().encode(card)]]));
}

/** A zip that goes on with kohya's sd-scripts on a rented machine; from a checkpoint, or from the beginning. */
export async function lookBundle(
  project: ProjectRecord,
  run: RunRecord,
  weights: Uint8Array<ArrayBuffer> | null,
): Promise<Uint8Array<ArrayBuffer>> {
  const triggerWord = openProject.dataset?.words?.triggerWord ?? '';
  const { family, resolution, predictionType } = await lookBaseFacts(run.baseId);
  const recipe = parseRecipe(run.recipe, TASK);
  const files = makeKohyaBundle({
    name: project.name,
    pictures: await dataWorker().look.bundlePictures(project.datasetId),
    recipe,
    lora: parseLookLora(run.adapter),
    base: {
      family,
      name: embeddedBase(run.baseId)?.fileName ?? bases.name(run.baseId),
      repository: null,
      predictionType,
      resolution,
    },
    prompts: project.prompts.map((prompt) => ({ prompt, seed: project.sampleSeed })),
    triggerWord,
    steps: run.totalSteps,
    warmupSteps: warmupSteps(recipe, run.totalSteps),
    ...(weights ? { weights } : {}),
  });
  return zipFolder(files);
}
