import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { findChromium } from '../../tools/chromium.mjs';
import { NO_ADAPTER_STATUS, gpuChoices, runProcess, runWithGpu } from '../../tools/gpu-env.mjs';

let folder: string;
let chrome: string;
let icd: string;

beforeEach(() => {
  // A browser that carries SwiftShader and libvulkan, as Debian's Chromium and Chrome do.
  folder = mkdtempSync(join(tmpdir(), 'athanor-gpu-'));
  chrome = join(folder, 'chrome');
  icd = join(folder, 'vk_swiftshader_icd.json');
  writeFileSync(chrome, '', { mode: 0o755 });
  for (const name of ['vk_swiftshader_icd.json', 'libvk_swiftshader.so', 'libvulkan.so.1'])
    writeFileSync(join(folder, name), '{}');
  vi.stubEnv('CHROME_PATH', chrome);
  vi.stubEnv('ATHANOR_LAVAPIPE', '');
  vi.stubEnv('VK_ICD_FILENAMES', '');
  vi.stubEnv('VK_DRIVER_FILES', '');
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test('a driver named in the environment comes first, the SwiftShader of the browser last', () => {
  const choices = gpuChoices({ CHROME_PATH: chrome, VK_ICD_FILENAMES: '/some/driver.json' });
  expect(choices.map((choice) => choice.env['VK_ICD_FILENAMES'])).toEqual(['/some/driver.json', icd]);
});

test('without a driver named, SwiftShader is the last choice and is not tried twice', () => {
  expect(gpuChoices({}).at(-1)?.env['VK_ICD_FILENAMES']).toBe(icd);
  expect(gpuChoices({ VK_ICD_FILENAMES: icd })).toHaveLength(1);
});

test("libvulkan comes from the browser's folder only where there is no other", () => {
  const own = join(folder, 'own');
  mkdirSync(own);
  writeFileSync(join(own, 'libvulkan.so.1'), '');
  const [given] = gpuChoices({ VK_ICD_FILENAMES: '/some/driver.json', LD_LIBRARY_PATH: own });
  expect(given?.env['LD_LIBRARY_PATH']).toBe(own);
});

test('lavapipe, when asked for, is the only choice and brings its own Node', () => {
  const choices = gpuChoices({ ATHANOR_LAVAPIPE: '/lvp', VK_ICD_FILENAMES: '/some/driver.json' });
  expect(choices).toHaveLength(1);
  expect(choices[0]).toMatchObject({ node: '/lvp/node/node', env: { VK_ICD_FILENAMES: '/lvp/lvp.json' } });
});

test('the status for "no adapter" leads to the next driver, any other one is handed on', async () => {
  vi.stubEnv('VK_ICD_FILENAMES', '/some/driver.json');
  const log = join(folder, 'log');
  const program = (statusFor: string) => `
    require('fs').appendFileSync(${JSON.stringify(log)}, process.env.VK_ICD_FILENAMES + '\\n');
    process.exit(process.env.VK_ICD_FILENAMES === ${JSON.stringify(statusFor)} ? Number(process.env.ATHANOR_NO_ADAPTER_STATUS) : 7);`;
  expect(await runWithGpu(['-e', program('/some/driver.json')])).toBe(7);
  expect(await runWithGpu(['-e', program('none')])).toBe(7);
  expect(readFileSync(log, 'utf8').trim().split('\n')).toEqual(['/some/driver.json', icd, '/some/driver.json']);
});

test('with no driver left there is one sentence and status 1', async () => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  expect(await runWithGpu(['-e', `process.exit(${NO_ADAPTER_STATUS})`])).toBe(1);
  expect(write.mock.calls).toEqual([[expect.stringMatching(/^No WebGPU adapter was found: .*\n$/)]]);
  write.mockRestore();
});

test('a program ended by a signal gives 128 + its number', async () => {
  expect(
    await runProcess(process.execPath, ['-e', "process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 1e4)"], {}),
  ).toBe(143);
});

test('CHROME_PATH is used as it stands, and a wrong one is named', () => {
  expect(findChromium()).toBe(chrome);
  vi.stubEnv('CHROME_PATH', '/no/such/browser');
  expect(() => findChromium()).toThrow('CHROME_PATH is /no/such/browser, which is no program that can be run.');
});
