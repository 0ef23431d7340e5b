import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { LoadedBase } from '../../../src/worker/protocol.ts';
import { announcer } from '../../../src/state/announcer.svelte.ts';
import { DEFAULT_DRAWING, ImageComparison } from '../../../src/state/look/image-comparison.svelte.ts';
import { openProject } from '../../../src/state/project.svelte.ts';
import { training } from '../../../src/state/training.svelte.ts';
import { clearStub, putProject, settle, stub, type StubCall } from '../stub-page.ts';

vi.mock('../../../src/state/workers.ts', () => import('../stub-page.ts'));
vi.mock('../../../src/storage/projects.ts', () => import('../stub-page.ts'));
vi.mock('../../../src/storage/runs.ts', () => import('../stub-page.ts'));
vi.mock('../../../src/state/locks.ts', () => import('../stub-page.ts'));

let comparison: ImageComparison;
let id: string;
let counter = 0;

beforeEach(async () => {
  clearStub();
  stub.info = () => ({ task: 'look' }) as LoadedBase['info'];
  id = `look-${++counter}`;
  putProject(id, 'look', `base-${id}`, [8]);
  comparison = new ImageComparison(['base', 'tuned']);
  await openProject.open(id);
  await training.open(id);
  comparison.open(id, 'a cat');
});

function draw(call: StubCall, image: number): void {
  const png = new Uint8Array([image]);
  call.tell({ type: 'image', image, seed: (call.request['seed'] as number) + image, width: 64, height: 32, png });
}

const atOnce = (call: StubCall): void => {
  for (let image = 0; image < (call.request['num_images'] as number); image++) draw(call, image);
  call.end();
};

describe('a prompt drawn by base and tuned', () => {
  it('is asked for in the terms of diffusers, with what is not set left out', async () => {
    stub.play = atOnce;
    comparison.set({ seed: 3 });
    await comparison.make();
    const common = {
      prompt: 'a cat',
      scheduler: 'DPMSolverMultistepScheduler',
      use_karras_sigmas: false,
      num_inference_steps: 25,
      guidance_scale: openProject.recipe.sample_guidance_scale,
      num_images: 1,
      seed: 3,
    };
    expect(stub.calls.map(({ task, request }) => ({ task, request }))).toEqual([
      { task: 'look', request: { ...common, strength: 0 } },
      { task: 'look', request: { ...common, strength: 1 } },
    ]);
    comparison.set({ negative: ' blur ', width: 64, height: 32, count: 2, scheduler: 'DDIMScheduler', steps: 4 });
    await comparison.make();
    expect(stub.calls.at(-1)!.request).toMatchObject({
      negative_prompt: 'blur',
      width: 64,
      height: 32,
      num_images: 2,
      scheduler: 'DDIMScheduler',
      num_inference_steps: 4,
    });
    expect(announcer.polite.trim()).toBe('Drawn: a cat.');
  });

  it('begins with the guidance of the samples along the way', async () => {
    openProject.setRecipe('sample_guidance_scale', 3);
    const other = new ImageComparison(['base', 'tuned']);
    other.open(id);
    expect(other.settings).toEqual({ ...DEFAULT_DRAWING, guidance: 3 });
  });

  it('shows picture after picture, says how far it is, and can be judged when all are there', async () => {
    comparison.set({ count: 2 });
    const making = comparison.make();
    await settle();
    const [base] = stub.calls;
    base!.tell({ type: 'progress', done: 3, total: 8, image: 0 });
    expect(comparison.progress).toMatchObject({
      side: 'base',
      fraction: 3 / 8,
      details: ['step 3 of 8, picture 1 of 2'],
    });
    draw(base!, 0);
    expect(comparison.made[0]!.results.base).toMatchObject([{ seed: 1, width: 64, height: 32 }]);
    draw(base!, 1);
    base!.end();
    await settle();
    const [, tuned] = stub.calls;
    draw(tuned!, 0);
    comparison.stop();
    await making;
    // One of two is missing.
    expect(comparison.made[0]!.results.tuned).toHaveLength(1);
    expect(comparison.isComplete(comparison.made[0]!)).toBe(false);
    stub.play = atOnce;
    await comparison.make();
    expect(comparison.isComplete(comparison.made[1]!)).toBe(true);
    const [picture] = comparison.made[1]!.results.tuned!;
    expect(picture!.png.type).toBe('image/png');
    expect([...new Uint8Array(await picture!.png.arrayBuffer())]).toEqual([0]);
    // What the base drew stands; the tuned one drew anew.
    expect(stub.calls.slice(2).map(({ request }) => request['strength'])).toEqual([1]);
  });

  it('says how many were cleared away', async () => {
    stub.play = atOnce;
    await comparison.make();
    await comparison.make();
    comparison.clear();
    expect(announcer.toasts.at(-1)!.message).toBe('2 drawings cleared away.');
  });

  it('keeps so many drawings, the newest', async () => {
    stub.play = atOnce;
    for (let seed = 0; seed < 26; seed++) {
      comparison.set({ seed });
      await comparison.make();
    }
    expect(comparison.made.length).toBe(24);
    expect(comparison.made.at(-1)!.settings.seed).toBe(25);
  });
});
