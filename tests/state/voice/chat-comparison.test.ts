import { beforeEach, describe, expect, it, vi } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import type { LoadedBase } from '../../../src/worker/protocol.ts';
import { announcer } from '../../../src/state/announcer.svelte.ts';
import { openProject } from '../../../src/state/project.svelte.ts';
import { sideLabel } from '../../../src/state/sides.ts';
import { training } from '../../../src/state/training.svelte.ts';
import { ChatComparison } from '../../../src/state/voice/chat-comparison.svelte.ts';
import { clearStub, putProject, settle, stub, type StubCall } from '../stub-page.ts';

vi.mock('../../../src/state/workers.ts', () => import('../stub-page.ts'));
vi.mock('../../../src/storage/projects.ts', () => import('../stub-page.ts'));
vi.mock('../../../src/storage/runs.ts', () => import('../stub-page.ts'));
vi.mock('../../../src/state/locks.ts', () => import('../stub-page.ts'));

let chat: ChatComparison;
let id: string;
let counter = 0;
let hasChatTemplate = true;

async function open(project: string, comparison: ChatComparison): Promise<void> {
  await openProject.open(project);
  await training.open(project);
  comparison.open(project);
}

beforeEach(async () => {
  clearStub();
  hasChatTemplate = true;
  stub.info = () => ({ task: 'voice', hasChatTemplate }) as unknown as LoadedBase['info'];
  id = `chat-${++counter}`;
  putProject(id, 'voice', `base-${id}`, [8]);
  chat = new ChatComparison(['base', 'tuned']);
  await open(id, chat);
});

/** Each answers with its strength and how much it was told. */
const atOnce = (call: StubCall): void => {
  const told = (call.request['messages'] as unknown[] | undefined)?.length ?? 0;
  call.end({ text: `${String(call.request['strength'])} of ${told}` });
};

async function say(words: string): Promise<boolean> {
  chat.setPrompt(words);
  return chat.make();
}

describe('a conversation with several speakers', () => {
  it('goes on from what each of them answered, with a seed of its own for each exchange', async () => {
    stub.play = atOnce;
    chat.set({ seed: 5, max_new_tokens: 12, top_k: 3 });
    chat.setStrength(1.5);
    await say(' Hello ');
    chat.set({ do_sample: false });
    await say('And then?');
    expect(stub.calls.map(({ task, request }) => ({ task, ...request }))).toEqual([
      {
        task: 'voice',
        messages: [{ role: 'user', content: 'Hello' }],
        max_new_tokens: 12,
        do_sample: true,
        temperature: 0.8,
        top_k: 3,
        top_p: 0.95,
        seed: 5,
        strength: 0,
      },
      expect.objectContaining({ seed: 5, strength: 1.5 }),
      {
        task: 'voice',
        messages: [
          { role: 'user', content: 'Hello' },
          { role: 'assistant', content: '0 of 1' },
          { role: 'user', content: 'And then?' },
        ],
        max_new_tokens: 12,
        do_sample: false,
        seed: 6,
        strength: 0,
      },
      expect.objectContaining({
        messages: [
          { role: 'user', content: 'Hello' },
          { role: 'assistant', content: '1.5 of 1' },
          { role: 'user', content: 'And then?' },
        ],
      }),
    ]);
    expect(announcer.polite.trim()).toBe('Base: 0 of 3. Tuned, step 8, strength 1.5: 1.5 of 3');
    // Nothing of a long conversation is left out.
    for (let i = 0; i < 30; i++) await say('More');
    expect(chat.made.length).toBe(32);
  });

  it('shows text as it comes; the answer of the call comes after all of it', async () => {
    chat.setPrompt('Hello');
    const making = chat.make();
    expect(chat.prompt).toBe('');
    await settle();
    const [base] = stub.calls;
    base!.tell('On');
    base!.tell('ce');
    expect(chat.made[0]!.results).toEqual({ base: 'Once' });
    expect(chat.progress!.side).toBe('base');
    base!.end({ text: 'Once upon' });
    await settle();
    expect(chat.made[0]!.results).toEqual({ base: 'Once upon' });
    expect(chat.progress!.side).toBe('tuned');
    // A speaker may say nothing at all.
    stub.calls[1]!.end({ text: '' });
    expect(await making).toBe(true);
    expect(chat.made[0]!.results).toEqual({ base: 'Once upon', tuned: '' });
    expect(chat.isComplete(chat.made[0]!)).toBe(true);
  });

  it('puts the words back into the box where nothing came of them, unless others stand there', async () => {
    stub.play = (call) => call.fail(new UserError('There is no room.'));
    expect(await say('Hello')).toBe(false);
    expect(chat.prompt).toBe('Hello');
    expect(chat.made).toEqual([]);
    stub.play = null;
    const making = say('Hello again');
    await settle();
    chat.setPrompt('Something else');
    chat.stop();
    expect(await making).toBe(false);
    expect(chat.prompt).toBe('Something else');
    expect(stub.calls.at(-1)!.cancelled).toBe(true);
    // Nor into the box of another project.
    const other = say('Of the first');
    await settle();
    putProject(`${id}-other`, 'voice', `base-${id}`);
    await open(`${id}-other`, chat);
    expect(await other).toBe(false);
    expect(chat.prompt).toBe('');
    expect(chat.made).toEqual([]);
  });

  it('keeps half an answer where it was stopped, and goes on from it', async () => {
    const making = say('Hello');
    await settle();
    stub.calls[0]!.tell('Half a');
    stub.calls[0]!.end({ whole: false, text: 'Half a' });
    await making;
    expect(chat.made).toMatchObject([{ results: { base: 'Half a' }, finished: true }]);
    stub.play = atOnce;
    await say('Go on');
    expect(stub.calls.slice(1).map(({ request }) => (request['messages'] as unknown[]).length)).toEqual([3, 2]);
  });

  it('sets the base with the prompt of Ask beside the two, but not where they are judged blind', async () => {
    stub.play = atOnce;
    openProject.updateAsk({ background: ' Speak like a keeper. ' });
    chat.setWithPrompt(true);
    await say('Hello');
    expect(chat.made[0]!.order).toEqual(['base', 'prompt', 'tuned']);
    expect(chat.made[0]!.order.map((side) => sideLabel(chat.made[0]!, side, 'Answer'))).toEqual([
      'Base',
      'Base with a prompt',
      'Tuned, step 8',
    ]);
    expect(stub.calls.map(({ request }) => request)).toMatchObject([
      { strength: 0, messages: [{ role: 'user' }] },
      { strength: 0, messages: [{ role: 'system', content: 'Speak like a keeper.' }, { role: 'user' }] },
      { strength: 1, messages: [{ role: 'user' }] },
    ]);
    chat.setBlind(true);
    expect(chat.withPrompt).toBe(false);
    await say('Hello again');
    expect([...chat.made[1]!.order].sort()).toEqual(['base', 'tuned']);
  });

  it('tries a prompt on a base that only continues texts, without anything taught', async () => {
    hasChatTemplate = false;
    stub.play = atOnce;
    openProject.update({ baseId: `plain-${id}` });
    openProject.updateAsk({ background: 'Once there was a keeper.' });
    const ask = new ChatComparison(['base', 'prompt']);
    ask.open(id);
    ask.setPrompt('He said');
    await ask.make();
    expect(stub.calls.map(({ choice, request }) => [choice, request['prompt'], request['messages']])).toEqual([
      [null, 'He said', undefined],
      [null, 'Once there was a keeper.\n\nHe said', undefined],
    ]);
    expect(ask.isComplete(ask.made[0]!)).toBe(false);
  });

  it('brings a cleared conversation back before what was said since', async () => {
    stub.play = atOnce;
    await say('first');
    chat.clear();
    expect(announcer.toasts.at(-1)!.message).toBe('The conversation was cleared.');
    await say('second');
    announcer.toasts.at(-1)!.action!.run();
    expect(chat.made.map(({ prompt }) => prompt)).toEqual(['first', 'second']);
    const before = stub.calls.length;
    await say('third');
    expect(stub.calls[before]!.request['messages']).toHaveLength(5);
  });
});
