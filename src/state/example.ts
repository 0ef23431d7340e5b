import { UserError } from '../engine/errors.ts';
import { saveProject } from '../storage/projects.ts';
import type { JsonObject } from '../storage/records.ts';
import { EMBEDDED_BASE } from '../worker/protocol.ts';
import { data } from './data.svelte.ts';
import { openProject } from './project.svelte.ts';
import { projects } from './projects.svelte.ts';

const FOLDER = 'examples/voice/';

async function fetchText(name: string): Promise<string> {
  const sentence = 'The example could not be fetched: the page’s server does not answer as it should. Reload the page.';
  const answer = await fetch(new URL(FOLDER + name, document.baseURI)).catch(() => null);
  if (!answer?.ok) throw new UserError(sentence);
  return answer.text();
}

/** Makes a project from the example that comes with the page; returns its id, ready for Train. */
export async function makeExample(task: Task): Promise<string> {
  return task === 'look' ? makeLookExample() : makeVoiceExample();
}

async function makeVoiceExample(): Promise<string> {
  const [rows, recipeText, exampleText] = await Promise.all(
    ['persona.jsonl', 'recipe.json', 'example.json'].map(fetchText),
  );
  const { recipe, adapter } = JSON.parse(recipeText!) as { recipe: JsonObject; adapter: JsonObject };
  const { title, description, prompts } = JSON.parse(exampleText!) as {
    title: string;
    description: string;
    prompts: string[];
  };
  const project = await projects.create('voice', title);
  await saveProject({
    ...project,
    baseId: EMBEDDED_BASE,
    recipe,
    adapter,
    prompts,
    ask: { ...project.ask, wish: description, beyondWords: true, answered: true },
  });
  await openProject.open(project.id);
  await data.open(project.id);
  if (!(await data.addFiles([new File([rows!], 'persona.jsonl', { type: 'application/jsonl' })]))) {
    throw new UserError(data.error);
  }
  await openProject.flush();
  await projects.load();
  return project.id;
}
