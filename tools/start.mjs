// npm start: builds the page and serves it on this machine. PORT chooses the port.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { serveFolder } from './static-server.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
await build({ root, logLevel: 'warn' });
if (!existsSync(join(root, 'dist/index.html'))) throw new Error('The build has written no dist/index.html.');
const { url } = await serveFolder(join(root, 'dist'), Number(process.env['PORT'] ?? 4173));
console.log(`Athanor is at ${url} (Ctrl+C ends it)`);
