// Where Chrome or Chromium is on this machine, and how it is started for tests, the demo and the benchmark.
import { accessSync, constants, existsSync, readdirSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

/** @param {string} path */
function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Browsers that playwright has downloaded for itself, newest first. */
function playwrightFolders() {
  const cache =
    process.env['PLAYWRIGHT_BROWSERS_PATH'] ??
    (process.platform === 'darwin'
      ? join(homedir(), 'Library/Caches/ms-playwright')
      : process.platform === 'win32'
        ? join(process.env['LOCALAPPDATA'] ?? homedir(), 'ms-playwright')
        : join(homedir(), '.cache/ms-playwright'));
  if (!existsSync(cache)) return [];
  return readdirSync(cache)
    .filter((name) => /^chromium-\d+$/.test(name))
    .sort((a, b) => Number(b.slice(9)) - Number(a.slice(9)))
    .flatMap((name) => ['chrome-linux', 'chrome-linux64', 'chrome-mac', 'chrome-win'].map((f) => join(cache, name, f)));
}

function candidates() {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
  const onPath = (process.env['PATH'] ?? '').split(delimiter).flatMap((dir) => names.map((name) => join(dir, name)));
  if (process.platform === 'darwin') {
    const app = 'Contents/MacOS';
    return [
      `/Applications/Google Chrome.app/${app}/Google Chrome`,
      `/Applications/Chromium.app/${app}/Chromium`,
      ...playwrightFolders().map((f) => join(f, `Chromium.app/${app}/Chromium`)),
      ...onPath,
    ];
  }
  if (process.platform === 'win32') {
    const roots = ['ProgramFiles', 'ProgramFiles(x86)', 'LOCALAPPDATA'].map((name) => process.env[name] ?? 'C:\\');
    return [
      ...roots.map((root) => join(root, 'Google/Chrome/Application/chrome.exe')),
      ...roots.map((root) => join(root, 'Chromium/Application/chrome.exe')),
      ...playwrightFolders().map((f) => join(f, 'chrome.exe')),
    ];
  }
  return [...onPath, '/opt/google/chrome/chrome', ...playwrightFolders().map((f) => join(f, 'chrome'))];
}

/**
 * The browser to use: CHROME_PATH if set, the patched copy under ATHANOR_LAVAPIPE if that is set, else the first one found.
 * @returns {string | undefined}
 */
export function findChromium() {
  const given = process.env['CHROME_PATH'];
  if (given) {
    if (!executable(given)) throw new Error(`CHROME_PATH is ${given}, which is no program that can be run.`);
    return given;
  }
  const lavapipe = process.env['ATHANOR_LAVAPIPE'];
  if (lavapipe) return join(lavapipe, 'chromium/chromium');
  return candidates().find(executable);
}

/**
 * The folder of an installed Chrome or Chromium that carries SwiftShader, its software Vulkan driver.
 * @returns {string | undefined}
 */
export function findSwiftShaderFolder() {
  const found = findChromium();
  const folders = [
    ...(found ? [dirname(realpathSync(found))] : []),
    '/usr/lib/chromium',
    '/usr/lib/chromium-browser',
    '/usr/lib64/chromium-browser',
    '/opt/google/chrome',
    '/snap/chromium/current/usr/lib/chromium-browser',
    ...playwrightFolders(),
  ];
  return folders.find(
    (f) => existsSync(join(f, 'vk_swiftshader_icd.json')) && existsSync(join(f, 'libvk_swiftshader.so')),
  );
}

/** Flags that give a headless Chromium WebGPU: on its software adapter, or on the real card with ATHANOR_BROWSER_GPU=hardware. */
export function chromiumArguments() {
  const root = process.platform === 'linux' && process.getuid?.() === 0;
  const software = process.env['ATHANOR_BROWSER_GPU'] !== 'hardware';
  return [
    ...(root ? ['--no-sandbox'] : []),
    '--enable-unsafe-webgpu',
    ...(software ? ['--use-webgpu-adapter=swiftshader'] : []),
    '--enable-features=Vulkan',
    '--disable-background-networking',
    '--disable-sync',
    '--no-first-run',
  ];
}

/** @returns {NodeJS.ProcessEnv} the environment for the browser */
export function chromiumEnvironment() {
  const lavapipe = process.env['ATHANOR_LAVAPIPE'];
  return lavapipe ? { ...process.env, XDG_RUNTIME_DIR: join(lavapipe, 'xdg') } : { ...process.env };
}
