import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { BrowserContext } from 'playwright-core';
import { chromiumArguments, chromiumEnvironment, findChromium } from '../../tools/chromium.mjs';
import { serveFolder } from '../../tools/static-server.mjs';

export interface TestBrowser {
  context: BrowserContext;
  /** Where the browser keeps IndexedDB and OPFS; give it to a second openBrowser to come back as the same visitor. */
  userDataDir: string;
  close(): Promise<void>;
}

export interface TestBrowserOptions {
  /** An earlier visitor's folder, kept on close. Without it: a new one, deleted on close. */
  userDataDir?: string;
  viewport?: { width: number; height: number };
  colorScheme?: 'light' | 'dark';
  reducedMotion?: 'reduce' | 'no-preference';
  /** Flags beside the usual ones, such as --disable-features=WebGPU. */
  args?: string[];
}

/** Real Chromium, headless, with WebGPU on its software adapter, and storage on disk as a visitor has it. */
export async function openBrowser(options: TestBrowserOptions = {}): Promise<TestBrowser> {
  const executablePath = findChromium();
  if (!executablePath) throw new Error('No Chrome or Chromium was found: install one, or set CHROME_PATH.');
  const userDataDir = options.userDataDir ?? mkdtempSync(join(tmpdir(), 'athanor-browser-'));
  const env = Object.fromEntries(
    Object.entries(chromiumEnvironment()).filter((e): e is [string, string] => e[1] !== undefined),
  );
  const context = await chromium.launchPersistentContext(userDataDir, {
    executablePath,
    headless: true,
    args: [...chromiumArguments(), ...(options.args ?? [])],
    env,
    viewport: options.viewport ?? { width: 1280, height: 900 },
    colorScheme: options.colorScheme ?? 'light',
    reducedMotion: options.reducedMotion ?? 'no-preference',
    acceptDownloads: true,
  });
  return {
    context,
    userDataDir,
    async close() {
      await context.close();
      if (!options.userDataDir) rmSync(userDataDir, { recursive: true, force: true });
    },
  };
}

/** The built page (npm run build) on a port of its own. */
export function serveApp(folder = 'dist'): Promise<{ url: string; close: () => Promise<void> }> {
  return serveFolder(folder);
}
