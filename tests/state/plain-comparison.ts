import type { LoadedBase } from '../../src/worker/protocol.ts';
import { Comparison, type Job } from '../../src/state/comparison.svelte.ts';
import { openProject } from '../../src/state/project.svelte.ts';
import type { Compared, Side } from '../../src/state/sides.ts';
import { training } from '../../src/state/training.svelte.ts';
import { stub, type StubCall } from './stub-page.ts';

interface Settings {
  seed: number;
  loud: boolean;
}

interface Request {
  words: string;
  strength: number;
  seed: number;
  after: number;
}

/** A kind as plain as can be: what it makes are words. */
export class Plain extends Comparison<Settings, Request, string> {
  protected readonly most = 3;

  protected defaults(): Settings {
    return { seed: 1, loud: false };
  }

  protected request(one: Compared<Settings, string>, side: Side, before: readonly unknown[]): Request {
    return {
      words: one.prompt,
      strength: side === 'tuned' ? one.strength : 0,
      seed: one.settings.seed,
      after: before.length,
    };
  }

  protected answer(job: Job<Request, string>): Promise<{ whole: boolean }> {
    return new Promise((resolve, reject) => {
      const call: StubCall = {
        task: 'voice',
        ...job,
        request: { ...job.request },
        tell: (event) => {
          if (typeof event === 'string') job.show(event);
          else job.report(...(event as [number, number, string[]]));
        },
        end: (answer = {}) => resolve({ whole: true, ...answer }),
        fail: reject,
        cancelled: false,
      };
      stub.calls.push(call);
      stub.play?.(call);
    });
  }

  protected madeLine(one: Compared<Settings, string>): string {
    return `Made: ${one.prompt}.`;
  }

  protected clearedLine(count: number): string {
    return `${count} cleared.`;
  }
}

export const info = { task: 'sound' } as unknown as LoadedBase['info'];
/** Answers at once, each side with its name, and for a tuned one with its choice. */
export const atOnce = (call: StubCall): void => {
  const { runId, step } = (call.choice ?? {}) as { runId?: string; step?: number };
  call.tell(call.request.strength === 0 ? `base of ${call.baseId}` : `tuned by ${runId}/${step}`);
  call.end();
};

export async function open(id: string, comparison: Plain): Promise<void> {
  await openProject.open(id);
  await training.open(id);
  comparison.open(id, 'a prompt');
}
