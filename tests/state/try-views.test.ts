import { render } from 'svelte/server';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { LoadedBase } from '../../src/worker/protocol.ts';
import VoteButtons from '../../src/app/parts/VoteButtons.svelte';
import LookTry from '../../src/app/look/LookTry.svelte';
import SoundTry from '../../src/app/sound/SoundTry.svelte';
import VoiceTry from '../../src/app/voice/VoiceTry.svelte';
import { openProject } from '../../src/state/project.svelte.ts';
import type { Side } from '../../src/state/sides.ts';
import { training } from '../../src/state/training.svelte.ts';
import { clearStub, putProject, stub } from './stub-page.ts';

vi.mock('../../src/state/workers.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/projects.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/runs.ts', () => import('./stub-page.ts'));
vi.mock('../../src/state/locks.ts', () => import('./stub-page.ts'));

describe('the buttons of a vote', () => {
  const labels = (order: readonly Side[], hidden: boolean, vote: 'better' | null = null): string[] => {
    const { body } = render(VoteButtons, {
      props: { label: 'Your judgement', what: 'Answer', hidden, order, vote, cast: () => undefined },
    });
    return [...body.matchAll(/<button([^>]*)>([^<]*)</g)].map(
      ([, attributes, text]) => `${text}${attributes!.includes('aria-pressed="true"') ? ', pressed' : ''}`,
    );
  };

  it('stand where the side stands that each is for', () => {
    expect(labels(['base', 'tuned'], false)).toEqual(['Base is better', 'The same', 'Tuned is better']);
    expect(labels(['tuned', 'base'], false, 'better')).toEqual([
      'Tuned is better, pressed',
      'The same',
      'Base is better',
    ]);
    expect(labels(['base', 'prompt', 'tuned'], false)).toEqual(['Base is better', 'The same', 'Tuned is better']);
  });

  it('are the same for both orders while names are hidden', () => {
    const hidden = ['Answer 1 is better', 'The same', 'Answer 2 is better'];
    expect(labels(['base', 'tuned'], true)).toEqual(hidden);
    expect(labels(['tuned', 'base'], true)).toEqual(hidden);
  });
});

describe.each([
  { task: 'voice', Try: VoiceTry, alone: 'the base speaks alone' },
  { task: 'look', Try: LookTry, alone: 'the base draws alone' },
  { task: 'sound', Try: SoundTry, alone: 'the base composes alone' },
] as const)('Try of a $task', ({ task, Try, alone }) => {
  const shown = (): string =>
    render(Try, { props: { project: openProject.project! } })
      .body.replace(/<!--.*?-->/g, '')
      .replace(/\s+/g, ' ');

  beforeEach(async () => {
    clearStub();
    stub.info = () => ({}) as LoadedBase['info'];
    putProject(`try-${task}`, task, 'first-base', [8, 4]);
    await openProject.close();
    await openProject.open(`try-${task}`);
    await training.open(`try-${task}`);
  });

  it('offers what was taught on the chosen base alone', () => {
    expect(shown()).toMatch(/<option value="try-[a-z]+-run\/8"[^>]*>step 8<\/option>.*>step 4<\/option>/);
    expect(shown()).not.toContain(alone);
    openProject.update({ baseId: 'other-base' });
    expect(shown()).toContain(`Nothing was taught on this base, so ${alone}.`);
    expect(shown()).not.toContain('<option value="try-');
    openProject.update({ baseId: 'first-base' });
    expect(shown()).toContain('>step 8</option>');
  });
});
