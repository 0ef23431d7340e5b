/**
 * Whoever sees all that the page shows before a blind vote learns nothing of which is which: in a world where base and
 * tuned have changed places, what each shows stays as likely, over chance's throws, down to the time of every change.
 */
import type { Component } from 'svelte';
import { render } from 'svelte/server';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LoadedBase } from '../../src/worker/protocol.ts';
import ChatPanel from '../../src/app/voice/ChatPanel.svelte';
import DrawPad from '../../src/app/look/DrawPad.svelte';
import ComposePad from '../../src/app/sound/ComposePad.svelte';
import { announcer } from '../../src/state/announcer.svelte.ts';
import { bases } from '../../src/state/base.svelte.ts';
import { ImageComparison, type DrawnPicture } from '../../src/state/look/image-comparison.svelte.ts';
import { openProject } from '../../src/state/project.svelte.ts';
import { sideInFileName } from '../../src/state/sides.ts';
import { MusicComparison } from '../../src/state/sound/music-comparison.svelte.ts';
import { training } from '../../src/state/training.svelte.ts';
import { ChatComparison } from '../../src/state/voice/chat-comparison.svelte.ts';
import { clearStub, putProject, settle, stub, type StubCall } from './stub-page.ts';

vi.mock('../../src/state/workers.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/projects.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/runs.ts', () => import('./stub-page.ts'));
vi.mock('../../src/state/locks.ts', () => import('./stub-page.ts'));

/** What the two make: their contents, whichever makes which. */
type Content = 'short' | 'long';
type World = Record<'base' | 'tuned', Content>;
/** Milliseconds that an event takes. */
type Pace = (side: 'base' | 'tuned', content: Content) => number;

const bySide: Pace = (side) => (side === 'base' ? 1 : 3);
const byContent: Pace = (_side, content) => (content === 'short' ? 1 : 3);
const byBoth: Pace = (side, content) => bySide(side, content) + byContent(side, content);

type AnyComparison = ChatComparison | ImageComparison | MusicComparison;

interface Kind {
  task: 'voice' | 'look' | 'sound';
  make: (random: () => number) => AnyComparison;
  view: unknown;
  /** The events of one answer. */
  events: (content: Content) => unknown[];
  /** What the person sees or hears in a result. */
  seen: (result: unknown) => unknown;
  /** Courses of time under which nothing may be told. */
  paces: Record<string, Pace>;
}

const pixels = (content: Content): number => (content === 'short' ? 64 : 72);
const KINDS: Kind[] = [
  {
    task: 'voice',
    make: (random) => new ChatComparison(['base', 'tuned'], random),
    view: ChatPanel,
    events: (content) => (content === 'short' ? ['Ay', 'e.'] : ['Well, ', 'let me see.']),
    seen: (result) => result,
    // What takes long is seen in what is long: of the two together nothing but the sum may be seen.
    paces: { 'one side is slower': bySide, 'one content is slower': byContent, both: byBoth },
  },
  {
    task: 'look',
    make: (random) => new ImageComparison(['base', 'tuned'], random),
    view: DrawPad,
    events: (content) => [
      ...[1, 2, 3].map((done) => ({ type: 'progress', done, total: 3, image: 0 })),
      { type: 'image', image: 0, seed: 1, width: pixels(content), height: 64, png: new Uint8Array(pixels(content)) },
    ],
    seen: (result) => (result as DrawnPicture[]).map(({ width, png }) => [width, png.size]),
    paces: { 'one side is slower': bySide, 'one content is slower': byContent },
  },
  {
    task: 'sound',
    make: (random) => new MusicComparison(['base', 'tuned'], random),
    view: ComposePad,
    events: (content) => [
      { type: 'progress', done: 1, total: 2 },
      { type: 'piece', from: 0, sampleRate: 8000, channels: [new Float32Array(8000)] },
      { type: 'progress', done: 2, total: 2 },
      { type: 'piece', from: 8000, sampleRate: 8000, channels: [new Float32Array(pixels(content))] },
    ],
    seen: (result) => (result as Blob).size,
    paces: { 'one side is slower': bySide, 'one content is slower': byContent },
  },
];

let heard = 0;
class CountedContext {
  currentTime = 0;
  destination = {};
  constructor() {
    heard++;
  }
  createBuffer(): unknown {
    return { copyToChannel: () => undefined };
  }
  createBufferSource(): unknown {
    return { connect: () => undefined, start: () => undefined };
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  vi.stubGlobal('AudioContext', CountedContext);
  clearStub();
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function answers(kind: Kind, world: World, pace: Pace): (call: StubCall) => void {
  return (call) => {
    const side = call.request.strength === 0 ? 'base' : 'tuned';
    const content = world[side];
    const events = kind.events(content);
    events.forEach((event, i) => setTimeout(() => call.tell(event), (i + 1) * pace(side, content)));
    setTimeout(
      () => call.end({ text: kind.task === 'voice' ? events.join('') : '' }),
      (events.length + 1) * pace(side, content),
    );
  };
}

interface Course {
  kind: Kind;
  world: World;
  pace: Pace;
  blind: boolean;
  /** Chance's throws. */
  throws: readonly number[];
  /** The base has answered the same before. */
  again?: boolean;
}

/** All that is shown, said and heard from asking to the vote, with the millisecond of each change. */
async function course({ kind, world, pace, blind, throws, again = false }: Course): Promise<string> {
  const left = [...throws];
  const comparison = kind.make(() => left.shift()!);
  const project = openProject.project!;
  comparison.open(project.id, '');
  stub.play = answers(kind, world, pace);
  const ask = (): Promise<boolean> => {
    comparison.setPrompt('the same words');
    return comparison.make();
  };
  const through = async (watch: () => void): Promise<void> => {
    let done = false;
    void ask().then(() => (done = true));
    for (let ms = 0; ms < 200 && !done; ms++) {
      await settle();
      watch();
      await vi.advanceTimersByTimeAsync(1);
    }
    await settle();
    watch();
    expect(done).toBe(true);
  };
  if (again) {
    await through(() => undefined);
    comparison.clear();
  }
  comparison.setBlind(blind);
  announcer.say('');
  heard = 0;
  const began = performance.now();
  const trace: string[] = [];
  let last = '';
  await through(() => {
    const { body } = render(kind.view as Component<{ project: unknown; comparison: unknown }>, {
      props: { project, comparison },
    });
    const shown = comparison.made.map((one) =>
      one.order.map((side) => {
        const result = one.results[side];
        return [result === undefined ? null : kind.seen(result), sideInFileName(one, side)];
      }),
    );
    const now = JSON.stringify([body, announcer.polite.trim(), comparison.error, heard, shown]);
    if (now !== last) trace.push(`${performance.now() - began}: ${now}`);
    last = now;
  });
  expect(comparison.error).toBe('');
  if (blind) expect(left).toEqual([]);
  return trace.join('\n');
}

/** The courses under all that chance can throw, each as likely as another. */
async function courses(of: Omit<Course, 'throws'>): Promise<string[]> {
  const all: string[] = [];
  for (const first of [0.25, 0.75]) {
    for (const second of [0.25, 0.75]) all.push(await course({ ...of, throws: [first, second] }));
  }
  return all.sort();
}

describe.each(KINDS)('a blind comparison of a $task', (kind) => {
  const one: World = { base: 'short', tuned: 'long' };
  const other: World = { base: 'long', tuned: 'short' };

  beforeEach(async () => {
    const id = `blind-${kind.task}`;
    putProject(id, kind.task, `base-${id}`, [8]);
    const info = {
      task: kind.task,
      hasChatTemplate: true,
      generation: {},
      longestSeconds: 30,
      resolution: 64,
    } as unknown as LoadedBase['info'];
    stub.info = () => info;
    await openProject.close();
    await openProject.open(id);
    await training.open(id);
    await bases.load(`base-${id}`);
  });

  for (const [name, pace] of Object.entries(kind.paces)) {
    for (const again of [false, true]) {
      it(`tells nothing where ${name}${again ? ', the base having answered the same before' : ''}`, async () => {
        const first = await courses({ kind, world: one, pace, blind: true, again });
        expect(await courses({ kind, world: other, pace, blind: true, again })).toEqual(first);
        // Both orders of showing are among them.
        expect(new Set(first).size).toBeGreaterThan(1);
      });

      it(`would tell who is who without being blind, where ${name}${again ? ', asked again' : ''}`, async () => {
        const first = await courses({ kind, world: one, pace, blind: false, again });
        expect(await courses({ kind, world: other, pace, blind: false, again })).not.toEqual(first);
      });
    }
  }

  it('says no name and plays nothing before the vote', async () => {
    for (const seen of await courses({ kind, world: one, pace: bySide, blind: true })) {
      // Names of settings and of prompts are none of a side.
      expect(seen.replace(/the base’s own/g, '')).not.toMatch(/\b(tuned|Tuned|Base|base)\b/);
    }
    expect(heard).toBe(0);
  });
});
