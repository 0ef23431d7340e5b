export const STEPS = ['ask', 'data', 'base', 'train', 'try', 'share'] as const;
export type Step = (typeof STEPS)[number];

export type Route =
  { page: 'home' } | { page: 'project'; projectId: string; step: Step } | { page: 'settings' } | { page: 'missing' };

/** The address after the #, as a place in the page. */
export function parseRoute(hash: string): Route {
  const parts = hash
    .replace(/^#\/?/, '')
    .split('/')
    .filter((part) => part !== '');
  if (parts.length === 0) return { page: 'home' };
  if (parts.length === 1 && parts[0] === 'settings') return { page: 'settings' };
  if (parts[0] === 'projects' && parts[1] !== undefined && parts.length <= 3) {
    const step = parts[2] ?? 'ask';
    if (/^[a-z0-9]+$/.test(parts[1]) && (STEPS as readonly string[]).includes(step)) {
      return { page: 'project', projectId: parts[1], step: step as Step };
    }
  }
  return { page: 'missing' };
}

export function projectHref(projectId: string, step: Step): string {
  return `#/projects/${projectId}/${step}`;
}
