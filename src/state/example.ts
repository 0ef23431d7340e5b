import { UserError } from '../common/errors.ts';
import { saveProject } from '../storage/projects.ts';
import type { JsonObject, ProjectRecord } from '../storage/records.ts';
import type { Task } from '../common/task.ts';
import type { NamedFile } from '../common/named-file.ts';
import { EMBEDDED } from '../worker/embedded-bases.ts';
import { data } from './voice/dataset.svelte.ts';
import { pictures } from './look/dataset.svelte.ts';
import { openProject } from './project.svelte.ts';
import { projects } from './projects.svelte.ts';
import { sounds } from './sound/dataset.svelte.ts';

/** Tasks for which a small base and an example come with the page. */
export const WITH_EXAMPLE: readonly Task[] = ['voice', 'look', 'sound'];

async function fetchFile(task: Task, name: string): Promise<Blob> {
  const sentence = 'The example could not be fetched: the page’s server does not answer as it should. Reload the page.';
  const answer = await fetch(new URL(`examples/${task}/${name}`, document.baseURI)).catch(() => null);
  if (!answer?.ok) throw new UserError(sentence);
  return answer.blob();
}

async function fetchJson<T>(task: Task, name: string): Promise<T> {
  return JSON.parse(await (await fetchFile(task, name)).text()) as T;
}

interface Example {
  title: string;
  description: string;
  prompts: string[];
}

/** A project with the example's settings, open. */
async function createProject(task: Task, { title, description, prompts }: Example): Promise<ProjectRecord> {
  const { recipe, adapter } = await fetchJson<{ recipe: JsonObject; adapter: JsonObject }>(task, 'recipe.json');
  const project = await projects.create(task, title);
  await saveProject({
    ...project,
    baseId: EMBEDDED[task].id,
    recipe,
    adapter,
    prompts,
    ask: { ...project.ask, wish: description, beyondWords: true, answered: true },
  });
  await openProject.open(project.id);
  return project;
}

async function makeVoice(): Promise<string> {
  const [rows, example] = await Promise.all([
    fetchFile('voice', 'persona.jsonl'),
    fetchJson<Example>('voice', 'example.json'),
  ]);
  const project = await createProject('voice', example);
  await data.open(project.id);
  if (!(await data.addFiles([new File([rows], 'persona.jsonl', { type: 'application/jsonl' })]))) {
    throw new UserError(data.error);
  }
  return project.id;
}

/** Files, each with a text beside it that is named as it is and holds its words. */
function withTexts(captions: readonly { file: string; caption: string }[], bytes: readonly Blob[]): NamedFile[] {
  return captions.flatMap(({ file, caption }, i) => {
    const text = file.replace(/\.\w+$/, '.txt');
    return [new File([bytes[i]!], file), new File([caption], text)].map((one) => ({ name: one.name, file: one }));
  });
}

async function makeLook(): Promise<string> {
  const [captions, example] = await Promise.all([
    fetchJson<{ file: string; caption: string }[]>('look', 'captions.json'),
    fetchJson<Example & { triggerWord: string; template: string }>('look', 'example.json'),
  ]);
  const drawn = await Promise.all(captions.map(({ file }) => fetchFile('look', file)));
  const project = await createProject('look', example);
  await pictures.open(project.id);
  await pictures.setWords({ triggerWord: example.triggerWord, template: example.template });
  if (!(await pictures.addFiles(withTexts(captions, drawn)))) throw new UserError(pictures.error);
  return project.id;
}

async function makeSound(): Promise<string> {
  const [captions, example] = await Promise.all([
    fetchJson<{ file: string; caption: string }[]>('sound', 'captions.json'),
    fetchJson<Example & { triggerWord: string }>('sound', 'example.json'),
  ]);
  const played = await Promise.all(captions.map(({ file }) => fetchFile('sound', file)));
  const project = await createProject('sound', example);
  await sounds.open(project.id);
  await sounds.setAllWords({ triggerWord: example.triggerWord });
  if (!(await sounds.addFiles(withTexts(captions, played)))) throw new UserError(sounds.error);
  // They are alike on purpose: one dance, played again and again.
  const left = sounds.clips.filter(({ kept }) => !kept).map(({ id }) => id);
  if (left.length > 0) await sounds.keep(left, true);
  return project.id;
}

/** Makes a project from the example of a task that comes with the page; returns its id, ready for Train. */
export async function makeExample(task: Task): Promise<string> {
  const id = await { voice: makeVoice, look: makeLook, sound: makeSound }[task]();
  await openProject.flush();
  await projects.load();
  return id;
}
