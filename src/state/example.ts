import { UserError } from '../common/errors.ts';
import type { NamedFile } from '../common/named-file.ts';
import type { Task } from '../common/task.ts';
import { saveProject } from '../storage/projects.ts';
import type { JsonObject, ProjectRecord } from '../storage/records.ts';
import { EMBEDDED } from '../worker/embedded-bases.ts';
import { openProject } from './project.svelte.ts';
import { projects } from './projects.svelte.ts';

/** What example.json says of every kind's example. */
export interface Example {
  title: string;
  description: string;
  prompts: string[];
}

async function fetchFile(task: Task, name: string): Promise<Blob> {
  const sentence = 'The example could not be fetched: the page’s server does not answer as it should. Reload the page.';
  const answer = await fetch(new URL(`examples/${task}/${name}`, document.baseURI)).catch(() => null);
  if (!answer?.ok) throw new UserError(sentence);
  return answer.blob();
}

async function fetchJson<T>(task: Task, name: string): Promise<T> {
  return JSON.parse(await (await fetchFile(task, name)).text()) as T;
}

/** What an example says of itself, and its files, each with the text beside it where it has one. */
export async function fetchExample<E extends Example>(
  task: Task,
  name?: string,
): Promise<{ example: E; files: NamedFile[] }> {
  const example = fetchJson<E>(task, 'example.json');
  if (name !== undefined) {
    const file = new File([await fetchFile(task, name)], name, { type: 'application/jsonl' });
    return { example: await example, files: [{ name, file }] };
  }
  const captions = await fetchJson<{ file: string; caption: string }[]>(task, 'captions.json');
  const bytes = await Promise.all(captions.map(({ file }) => fetchFile(task, file)));
  const files = captions.flatMap(({ file, caption }, i) => {
    const text = file.replace(/\.\w+$/, '.txt');
    return [new File([bytes[i]!], file), new File([caption], text)].map((one) => ({ name: one.name, file: one }));
  });
  return { example: await example, files };
}

/** Makes a project with the example's settings, opens it and fills its data set; returns its id, ready for Train. */
export async function makeProject(
  task: Task,
  { title, description, prompts }: Example,
  fill: (projectId: string) => Promise<void>,
): Promise<string> {
  const { recipe, adapter } = await fetchJson<{ recipe: JsonObject; adapter: JsonObject }>(task, 'recipe.json');
  const project: ProjectRecord = await projects.create(task, title);
  await saveProject({
    ...project,
    baseId: EMBEDDED[task].id,
    recipe,
    adapter,
    prompts,
    ask: { ...project.ask, wish: description, beyondWords: true, answered: true },
  });
  await openProject.open(project.id);
  await fill(project.id);
  await openProject.flush();
  await projects.load();
  return project.id;
}
