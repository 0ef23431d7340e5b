/** The sentence that is shown for whatever was thrown. */
export function errorMessage(error: unknown): string {
  const { name, message } = (error ?? {}) as { name?: unknown; message?: unknown };
  const text = typeof message === 'string' ? message : String(error);
  if (name === 'UserError' || name === 'ImportError') return text;
  if (name === 'AbortError') return 'Stopped.';
  return `Something went wrong that should not have (${text}). Nothing that was kept is lost. Reload the page and try again.`;
}

/** Whether it was stopped on purpose. */
export function isAbort(error: unknown): boolean {
  return (error as { name?: unknown } | null)?.name === 'AbortError';
}
