import { UserError } from '../common/errors.ts';

export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} bytes`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

function isQuota(error: unknown): boolean {
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
export async function kept<R>(what: string, work: () => Promise<R>): Promise<R> {
  try {
    return await work();
  } catch (error) {
    throw storageError(error, what);
  }
}
