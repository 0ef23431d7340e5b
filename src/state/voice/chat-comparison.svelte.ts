import type { Message } from '../../datasets/voice/rows.ts';
import type { GenerateChunk, GenerateRequest } from '../../tasks/voice/types.ts';
import { Comparison, type Job } from '../comparison.svelte.ts';
import { openProject } from '../project.svelte.ts';
import { sideLabel, type Compared, type Side } from '../sides.ts';
import { callback, modelWorker } from '../workers.ts';
import { voiceInfo } from './info.ts';

export interface Sampling {
  do_sample: boolean;
  temperature: number;
  top_k: number;
  top_p: number;
  max_new_tokens: number;
  /** Of the first exchange; each later one has the next. */
  seed: number;
}

export const DEFAULT_SAMPLING: Sampling = {
  do_sample: true,
  temperature: 0.8,
  top_k: 50,
  top_p: 0.95,
  max_new_tokens: 80,
  seed: 1,
};

/** What was said, and what each side answered. */
export type Exchange = Compared<Sampling, string>;
type ChatRequest = Omit<GenerateRequest, 'signal'>;

/** A conversation held with several speakers at once; each goes on from its own answers. */
export class ChatComparison extends Comparison<Sampling, ChatRequest, string> {
  // Whatever was left out would be missing from what the speakers remember.
  protected readonly most = Infinity;
  #withPrompt = $state.raw(false);

  /** The base with the prompt of Ask speaks beside the two that are judged. */
  get withPrompt(): boolean {
    return this.#withPrompt && !this.blind;
  }

  setWithPrompt(withPrompt: boolean): void {
    this.#withPrompt = withPrompt;
  }

  protected defaults(): Sampling {
    return DEFAULT_SAMPLING;
  }

  protected override sides(): readonly Side[] {
    return super.sides().flatMap((side) => (side === 'tuned' && this.withPrompt ? ['prompt', side] : [side]));
  }

  protected request(one: Exchange, side: Side, before: readonly Exchange[]): ChatRequest {
    const { do_sample, temperature, top_k, top_p, max_new_tokens, seed } = one.settings;
    const { project } = openProject;
    const background = side === 'prompt' ? (project?.ask.background.trim() ?? '') : '';
    const chat = voiceInfo(project?.baseId ?? null)?.hasChatTemplate ?? true;
    return {
      ...(chat
        ? { messages: messages(one, side, before, background) }
        : { prompt: (background === '' ? '' : `${background}\n\n`) + one.prompt }),
      max_new_tokens,
      do_sample,
      seed: seed + before.length,
      // Strength 0 is the base alone, so the adapter need not be taken out and put in again.
      strength: side === 'tuned' ? one.strength : 0,
      ...(do_sample ? { temperature, top_k, top_p } : {}),
    };
  }

  protected async answer(job: Job<ChatRequest, string>): Promise<{ whole: boolean }> {
    let said = '';
    const { whole } = await modelWorker().generate(
      { id: job.id, task: 'voice', baseId: job.baseId, adapter: job.choice, request: job.request },
      callback(({ text }: GenerateChunk) => {
        said += text;
        if (said !== '') job.show(said);
      }),
    );
    // Also where it said nothing at all.
    if (whole) job.show(said);
    return { whole };
  }

  /** The box is empty once it is said; where nothing came of it the words go back into it. */
  override async make(): Promise<boolean> {
    if (this.progress) return false;
    const { prompt, projectId } = this;
    const making = super.make();
    this.setPrompt('');
    const made = await making;
    if (!made && this.projectId === projectId && this.prompt === '') this.setPrompt(prompt);
    return made;
  }

  protected madeLine(one: Exchange): string {
    return one.order.map((side) => `${sideLabel(one, side, 'Answer')}: ${one.results[side] ?? 'none'}`).join('. ');
  }

  protected clearedLine(): string {
    return 'The conversation was cleared.';
  }
}

function messages(one: Exchange, side: Side, before: readonly Exchange[], background: string): Message[] {
  const said: Message[] = background === '' ? [] : [{ role: 'system', content: background }];
  for (const past of before) {
    said.push({ role: 'user', content: past.prompt });
    const answer = past.results[side];
    if (answer !== undefined) said.push({ role: 'assistant', content: answer });
  }
  return [...said, { role: 'user', content: one.prompt }];
}

export const tryChat = new ChatComparison(['base', 'tuned']);
export const askChat = new ChatComparison(['base', 'prompt']);
