import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serveFolder } from '../../tools/static-server.mjs';

let folder: string;
let server: Awaited<ReturnType<typeof serveFolder>>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'athanor-server-'));
  mkdirSync(join(folder, 'site/assets'), { recursive: true });
  writeFileSync(join(folder, 'secret.txt'), 'outside');
  writeFileSync(join(folder, 'site/index.html'), '<!doctype html>');
  writeFileSync(join(folder, 'site/assets/a b.js'), 'export {};');
  writeFileSync(join(folder, 'site/assets/model.bin'), new Uint8Array(100_000));
  server = await serveFolder(join(folder, 'site'));
});

afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** fetch tidies `..` away before sending; this sends the path as it stands. */
function raw(path: string): Promise<number | undefined> {
  const { hostname, port } = new URL(server.url);
  return new Promise((done, fail) => {
    request({ hostname, port, path }, (response) => {
      response.resume();
      done(response.statusCode);
    })
      .on('error', fail)
      .end();
  });
}

test.each([
  ['', 'text/html; charset=utf-8', 15],
  ['assets/a%20b.js', 'text/javascript; charset=utf-8', 10],
  ['assets/model.bin', 'application/octet-stream', 100_000],
])('/%s is served as %s', async (path, type, size) => {
  const response = await fetch(server.url + path);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe(type);
  expect((await response.arrayBuffer()).byteLength).toBe(size);
});

test.each(['/nothing.js', '/../secret.txt', '/%2e%2e/secret.txt', '/..%2fsecret.txt', '/assets/', '/%00', '/%zz'])(
  '%s is not found',
  async (path) => {
    expect(await raw(path)).toBe(404);
  },
);

test('only reading is allowed, and a taken port gives way to a free one', async () => {
  expect((await fetch(server.url, { method: 'POST' })).status).toBe(405);
  const second = await serveFolder(join(folder, 'site'), Number(new URL(server.url).port));
  expect(second.url).not.toBe(server.url);
  expect((await fetch(second.url)).status).toBe(200);
  await second.close();
});
