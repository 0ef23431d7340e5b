import { afterEach, describe, expect, it } from 'vitest';
import { LOOKS, STEPS, atRest, beginProject, checkLook, goToStep, oneLooker, visit } from './visit.ts';
import { hostileFiles, photos } from './look-pictures.ts';

const PICTURES = 'input[aria-label="Pictures to learn from"]';
/** A folder for pictures of the pages, to be looked at. */
const SHOTS = process.env['ATHANOR_SHOTS'];

describe.each(LOOKS)('a look at $width px, $colorScheme', (look) => {
  const visitor = oneLooker(look);

  afterEach(() => {
    expect(visitor.errors.splice(0)).toEqual([]);
  });

  const check = (name: string): Promise<void> => checkLook(visitor.page, SHOTS && `${SHOTS}/${name}-${look.width}.png`);

  it('is accessible on every step and does not scroll sideways', async () => {
    const { page } = visitor;
    await check('home');
    await beginProject(page, 'A look');
    await goToStep(page, 'Data');
    await check('data-empty');
    await page.setInputFiles(PICTURES, [...(await photos(3)), ...(await hostileFiles())]);
    await page.getByRole('heading', { name: '6 pictures' }).waitFor({ timeout: 60_000 });
    await page.getByRole('checkbox', { name: /photo-1\.jpg/ }).check();
    await page.getByLabel('It is the face or figure of a real person.').check();
    await goToStep(page, 'Base');
    await page.getByRole('button', { name: 'Choose the small look of this page' }).click();
    await page.getByText('Made for').waitFor({ timeout: 120_000 });
    for (const step of STEPS) {
      await goToStep(page, step);
      await page.locator('h1').waitFor();
      await atRest(page);
      await check(step.toLowerCase());
    }
  }, 300_000);

  it('is so with a picture open', async () => {
    const { page } = visitor;
    await goToStep(page, 'Data');
    await page.locator('[data-open]').first().click();
    await page.locator('dialog img').waitFor();
    await check('crop');
    await page.getByRole('radio', { name: 'Mask' }).check();
    await check('mask');
  });
});

/** The database as the page's first version made it, with a project of that time. */
async function makeFirstVersion(): Promise<void> {
  const request = indexedDB.open('athanor', 1);
  request.onupgradeneeded = () => {
    const db = request.result;
    db.createObjectStore('projects', { keyPath: 'id' });
    db.createObjectStore('datasets', { keyPath: 'id' }).createIndex('project', 'projectId');
    db.createObjectStore('rows', { keyPath: ['datasetId', 'index'] });
    db.createObjectStore('bases', { keyPath: 'id' });
    db.createObjectStore('runs', { keyPath: 'id' }).createIndex('project', 'projectId');
    db.createObjectStore('metrics', { keyPath: ['runId', 'sequence'] });
    db.createObjectStore('checkpoints', { keyPath: ['runId', 'step'] });
    db.createObjectStore('checkpointBytes');
    db.createObjectStore('settings');
  };
  await new Promise((resolve) => (request.onsuccess = resolve));
  const db = request.result;
  const stores = ['projects', 'datasets', 'rows', 'runs', 'metrics'];
  const write = db.transaction(stores, 'readwrite');
  const put = (store: string, value: unknown): void => void write.objectStore(store).put(value);
  put('projects', {
    id: 'old1',
    task: 'voice',
    name: 'An old voice',
    createdAt: 1,
    changedAt: 2,
    ask: { wish: '', beyondWords: false, unsteady: false, tooLong: false, background: '', answered: false },
    baseId: null,
    datasetId: 'set1',
    recipe: {},
    adapter: {},
    prompts: [],
    realPerson: false,
    votes: { better: 0, same: 0, worse: 0 },
  });
  put('datasets', {
    id: 'set1',
    projectId: 'old1',
    rowCount: 1,
    characters: 12,
    files: [],
    skipped: {},
    examples: [],
    warnings: [],
    changedAt: 1,
  });
  put('rows', { datasetId: 'set1', index: 0, rows: [{ kind: 'text', text: 'Kept before.' }] });
  put('runs', {
    id: 'run1',
    projectId: 'old1',
    baseId: 'embedded:voice',
    startedAt: 1,
    changedAt: 1,
    status: 'finished',
    step: 2,
    totalSteps: 2,
    recipe: {},
    adapter: {},
    plannedBytes: 0,
    measuredBytes: 0,
    loss: 1.5,
    heldOutLoss: null,
    bestStep: null,
    reason: '',
    seconds: 1,
    tokens: 10,
  });
  const step = { loss: 2, learningRate: 1, gradNorm: 1, tokens: 5, seconds: 1 };
  put('metrics', {
    runId: 'run1',
    sequence: 0,
    steps: [
      { ...step, step: 1 },
      { ...step, step: 2, loss: 1.5 },
    ],
    evaluations: [],
    samples: [{ step: 2, prompt: 'Hello?', base: 'no', tuned: 'Ahoy!' }],
  });
  await new Promise((resolve) => (write.oncomplete = resolve));
  db.close();
}

it('finds the projects of the first version, and keeps looks beside them', async () => {
  const visitor = await visit({ landOn: 'about:blank' });
  try {
    const { page } = visitor;
    // A file of the page's own server that opens no database itself.
    await page.goto(`${visitor.url}icon.svg`);
    await page.evaluate(makeFirstVersion);
    // A picture has no icon of its own.
    visitor.errors.splice(0);
    await page.goto(visitor.url);
    await page.getByRole('link', { name: 'An old voice' }).click();
    await page.getByText('Ahoy!').waitFor();
    await goToStep(page, 'Data');
    await page.getByText('Kept before.').waitFor();
    await page.goto(visitor.url);
    await beginProject(page, 'A look');
    await goToStep(page, 'Data');
    await page.setInputFiles(PICTURES, await photos(2));
    await page.getByRole('heading', { name: '2 pictures' }).waitFor();
    // A deleted look takes its pictures with it.
    await page.goto(visitor.url);
    await page.getByRole('button', { name: 'Delete A new look' }).click();
    const left = (): Promise<number> =>
      page.evaluate(async () => {
        const request = indexedDB.open('athanor');
        await new Promise((resolve) => (request.onsuccess = resolve));
        const db = request.result;
        const counted = db.transaction('files').objectStore('files').count();
        await new Promise((resolve) => (counted.onsuccess = resolve));
        db.close();
        return counted.result;
      });
    expect(await left()).toBe(2);
    await expect.poll(left, { timeout: 40_000, interval: 2000 }).toBe(0);
    await page.getByRole('link', { name: 'An old voice' }).waitFor();
    expect(visitor.errors).toEqual([]);
  } finally {
    await visitor.leave();
  }
}, 120_000);
