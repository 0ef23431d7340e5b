// What the page fetches before the first click, and how large that is: measured on what a build wrote.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';

/** Bytes, compressed as servers do: before the first click nobody should wait for more. */
export const MOST_BYTES = 250_000;

/** A module's static imports, by the paths they have in what a build wrote. */
const IMPORT = /(?:\bfrom|\bimport)\s*["'](\.\/[^"']+)["']/g;
/** The worker that tells of the graphics card is started by the start page; the one for data is not. */
const WORKER = /\bnew URL\(["'`](model\.worker-[^"'`/]+\.js)["'`]/;

/**
 * The files that the built page in `folder` fetches before the first click, with their sizes in bytes as gzip has them.
 * @param {string} folder
 * @returns {{ file: string; bytes: number }[]}
 */
export function firstLoad(folder) {
  const html = readFileSync(join(folder, 'index.html'), 'utf8');
  /** @type {Set<string>} */
  const files = new Set(['index.html']);
  /** @param {string} file */
  const visit = (file) => {
    if (files.has(file)) return;
    files.add(file);
    if (!/\.m?js$/.test(file)) return;
    const text = readFileSync(join(folder, file), 'utf8');
    for (const [, path] of text.matchAll(IMPORT)) visit(join(file, '..', String(path)));
    const worker = WORKER.exec(text);
    if (worker) visit(join(file, '..', String(worker[1])));
  };
  for (const [, path] of html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)) visit(String(path));
  return [...files].map((file) => ({ file, bytes: gzipSync(readFileSync(join(folder, file)), { level: 9 }).length }));
}

/**
 * Tells the size after a build, and lets a build fail whose page is larger.
 * @returns {import('vite').Plugin}
 */
export function firstLoadLimit() {
  let folder = '';
  return {
    name: 'first-load',
    apply: 'build',
    configResolved: (config) => {
      folder = resolve(config.root, config.build.outDir);
    },
    closeBundle() {
      const bytes = firstLoad(folder).reduce((sum, file) => sum + file.bytes, 0);
      const said = `Before the first click: ${(bytes / 1000).toFixed(0)} kB of ${MOST_BYTES / 1000}, compressed.`;
      if (bytes >= MOST_BYTES) this.error(said);
      this.info(said);
    },
  };
}
