import type { Page } from 'playwright-core';

declare global {
  interface Window {
    seenBlind?: string[];
  }
}

/**
 * From now on notes whatever the comparisons show and whatever is said to screen readers, names for buttons and pictures
 * included, at every change of the page. Returns what gives the notes, each state once and in order.
 */
export async function watchBlind(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(() => {
    const seen: string[] = [];
    window.seenBlind = seen;
    const note = (): void => {
      const places = document.querySelectorAll(
        'main article, main .progress, [aria-live], [role=status], [role=alert]',
      );
      const told = [...places].map((place) => {
        const names = [...place.querySelectorAll('[aria-label], [alt], [class]')].map((element) =>
          ['aria-label', 'alt', 'class'].map((name) => element.getAttribute(name) ?? '').join(' '),
        );
        return [place.textContent, place.getAttribute('aria-label'), ...names].join(' | ');
      });
      const now = told.join('\n');
      if (now !== seen.at(-1)) seen.push(now);
    };
    new MutationObserver(note).observe(document.body, {
      subtree: true,
      childList: true,
      characterData: true,
      attributes: true,
    });
  });
  return () => page.evaluate(() => window.seenBlind ?? []);
}
