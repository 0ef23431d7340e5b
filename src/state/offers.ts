import type { CheckpointInfo } from '../storage/records.ts';
import type { AppliedAdapter } from '../worker/protocol.ts';

/** What the tuned side has learnt: a checkpoint, or a file from elsewhere; null where there is only the base. */
export type Choice = AppliedAdapter;

export interface Offer {
  key: string;
  /** “step 50”. */
  name: string;
  choice: NonNullable<Choice>;
}

/** What can be chosen: checkpoints in their order, then files from elsewhere. `newestRun` goes without saying in names. */
export function offersOf(
  checkpoints: readonly CheckpointInfo[],
  newestRun: string | undefined,
  given: readonly File[],
): readonly Offer[] {
  return [
    ...checkpoints.map(({ runId, step }) => ({
      key: `${runId}/${step}`,
      name: `${runId === newestRun ? '' : 'an earlier run, '}step ${step}`,
      choice: { runId, step },
    })),
    ...given.map((file) => ({ key: givenKey(file), name: file.name, choice: { given: file } })),
  ];
}

export const givenKey = (file: File): string => `given/${file.name}`;

/** The tuned side's name where this was chosen. */
export function tunedLabel(offer: Offer | null): string {
  if (!offer) return '';
  return 'given' in offer.choice ? `With ${offer.name}` : `Tuned, ${offer.name}`;
}
