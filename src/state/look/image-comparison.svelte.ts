import type { DrawRequest, SchedulerName } from '../../tasks/look/types.ts';
import type { DrawProgress } from '../../worker/look/kind.ts';
import { TASK } from './info.ts';
import { Comparison, type Job } from '../comparison.svelte.ts';
import { plural } from '../format.ts';
import { openProject } from '../project.svelte.ts';
import type { Compared, Side } from '../sides.ts';
import { callback, modelWorker } from '../workers.ts';

export interface DrawSettings {
  negative: string;
  seed: number;
  count: number;
  steps: number;
  guidance: number;
  /** Pixels; 0 is what the base was made for. */
  width: number;
  height: number;
  scheduler: SchedulerName;
  karras: boolean;
}

export const DEFAULT_DRAWING: DrawSettings = {
  negative: '',
  seed: 1,
  count: 1,
  steps: 25,
  guidance: 7,
  width: 0,
  height: 0,
  scheduler: 'DPMSolverMultistepScheduler',
  karras: false,
};

export interface DrawnPicture {
  seed: number;
  png: Blob;
  width: number;
  height: number;
}

/** One prompt as it was drawn by each side; picture i of each is of the same seed. */
export type Drawing = Compared<DrawSettings, readonly DrawnPicture[]>;
type ImageRequest = Omit<DrawRequest, 'signal'>;

/** Prompts drawn by the base and by what it has become, on the same seeds. */
export class ImageComparison extends Comparison<DrawSettings, ImageRequest, readonly DrawnPicture[]> {
  // Each may be some megabytes.
  protected readonly most = 24;

  /** As the samples along the way are drawn. */
  protected defaults(): DrawSettings {
    return { ...DEFAULT_DRAWING, guidance: openProject.recipe.sample_guidance_scale };
  }

  protected request({ prompt, settings, strength }: Drawing, side: Side): ImageRequest {
    const negative = settings.negative.trim();
    return {
      prompt,
      ...(negative === '' ? {} : { negative_prompt: negative }),
      scheduler: settings.scheduler,
      use_karras_sigmas: settings.karras,
      num_inference_steps: settings.steps,
      guidance_scale: settings.guidance,
      ...(settings.width > 0 && settings.height > 0 ? { width: settings.width, height: settings.height } : {}),
      num_images: settings.count,
      seed: settings.seed,
      // Strength 0 is the base alone, so the adapter need not be taken out and put in again.
      strength: side === 'base' ? 0 : strength,
    };
  }

  protected answer(job: Job<ImageRequest, readonly DrawnPicture[]>): Promise<{ whole: boolean }> {
    const drawn: DrawnPicture[] = [];
    const count = job.request.num_images ?? 1;
    return modelWorker().generate(
      { id: job.id, task: TASK, baseId: job.baseId, adapter: job.choice, request: job.request },
      callback((event: DrawProgress) => {
        if (event.type === 'image') {
          const { seed, width, height } = event;
          drawn.push({ seed, width, height, png: new Blob([event.png], { type: 'image/png' }) });
          job.show([...drawn]);
          return;
        }
        const { done, total, image } = event;
        const picture = count > 1 ? `, picture ${image + 1} of ${count}` : '';
        job.report(done, total, [`step ${done} of ${total}${picture}`]);
      }),
    );
  }

  protected override isEnough(pictures: readonly DrawnPicture[], { count }: DrawSettings): boolean {
    return pictures.length === count;
  }

  protected madeLine({ prompt }: Drawing): string {
    return `Drawn: ${prompt}.`;
  }

  protected clearedLine(count: number): string {
    return `${plural(count, 'drawing')} cleared away.`;
  }
}

export const tryImages = new ImageComparison(['base', 'tuned']);
export const askImages = new ImageComparison(['base']);
