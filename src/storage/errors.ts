import { UserError } from '../common/errors.ts';

/** Whether the disk, or the browser's share of it, was full. */
export function isQuota(error: unknown): boolean {
  const name = (error as { name?: unknown } | null)?.name;
  return name === 'QuotaExceededError' || name === 'NS_ERROR_DOM_QUOTA_REACHED';
}

/** Turns what the browser's stores throw into a sentence for the person; `what` says what was being kept. */
export function storageError(error: unknown, what: string): Error {
  if (error instanceof UserError) return error;
  if (isQuota(error)) {
    return new UserError(
      `The browser's storage is full, so ${what} could not be kept. Everything kept before is still there. ` +
        'Free some space under Settings, then try again.',
    );
  }
  const name = (error as { name?: unknown } | null)?.name;
  if (name === 'InvalidStateError' || name === 'SecurityError' || name === 'UnknownError') {
    return new UserError(
      `The browser does not let this page keep anything (${what}). ` +
        'Private windows and blocked site data do this: open the page in an ordinary window.',
    );
  }
  return error instanceof Error ? error : new Error(String(error));
}

/** Runs `work`; what it throws is turned into a sentence. */
export async function withStorageErrors<R>(what: string, work: () => Promise<R>): Promise<R> {
  try {
    return await work();
  } catch (error) {
    throw storageError(error, what);
  }
}
