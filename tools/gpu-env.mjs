// Node gets WebGPU from npm `webgpu` (Dawn), which needs a Vulkan driver and libvulkan. Where a machine keeps them, and what
// to set so that they are found, is decided here; it must be in the environment before Node starts, hence the second process.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findSwiftShaderFolder } from './chromium.mjs';

/** A program started by runWithGpu ends with this status, and prints nothing, when it gets no adapter; the next driver is then tried. */
export const NO_ADAPTER_STATUS = 86;

const ICD_FOLDERS = ['/etc/vulkan/icd.d', '/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d'];
// The loader does not look here by itself; containers with Nvidia cards have their driver's manifest in this place.
const ICD_FOLDERS_TO_NAME = ['/usr/local/nvidia/share/vulkan/icd.d'];
const LIBRARY_FOLDERS = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/lib/x86_64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/lib',
];

/** @param {string} folder */
function manifests(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => join(folder, name));
}

/** @param {NodeJS.ProcessEnv} env */
function hasLibvulkan(env) {
  const given = (env['LD_LIBRARY_PATH'] ?? '').split(':').filter(Boolean);
  return [...given, ...LIBRARY_FOLDERS].some((folder) => existsSync(join(folder, 'libvulkan.so.1')));
}

/**
 * The drivers worth trying, best first.
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {{ name: string, node: string, env: NodeJS.ProcessEnv }[]}
 */
export function gpuChoices(env = process.env) {
  const node = process.execPath;
  const lavapipe = env['ATHANOR_LAVAPIPE'];
  if (lavapipe) {
    const own = { VK_ICD_FILENAMES: join(lavapipe, 'lvp.json'), XDG_RUNTIME_DIR: join(lavapipe, 'xdg') };
    return [{ name: 'lavapipe', node: join(lavapipe, 'node/node'), env: { ...env, ...own } }];
  }
  if (process.platform !== 'linux') return [{ name: 'system', node, env }];

  const swiftshader = findSwiftShaderFolder();
  // Chromium carries a libvulkan of its own: it serves where the system has none.
  const base = { ...env };
  const libvulkan = hasLibvulkan(env);
  const carried = swiftshader !== undefined && existsSync(join(swiftshader, 'libvulkan.so.1'));
  if (!libvulkan && carried) base['LD_LIBRARY_PATH'] = [env['LD_LIBRARY_PATH'], swiftshader].filter(Boolean).join(':');

  const choices = [];
  const icd = swiftshader && join(swiftshader, 'vk_swiftshader_icd.json');
  const given = env['VK_DRIVER_FILES'] || env['VK_ICD_FILENAMES'];
  if (given) {
    choices.push({ name: given, node, env: base });
  } else if (libvulkan || carried) {
    const named = ICD_FOLDERS_TO_NAME.flatMap(manifests);
    const found = ICD_FOLDERS.flatMap(manifests);
    const drivers = named.length > 0 ? { VK_ICD_FILENAMES: [...named, ...found].join(':') } : {};
    if (named.length + found.length > 0) choices.push({ name: 'system', node, env: { ...base, ...drivers } });
  }
  if (icd && (libvulkan || carried) && given !== icd) {
    const { VK_DRIVER_FILES: _, ...rest } = base;
    choices.push({ name: 'SwiftShader', node, env: { ...rest, VK_ICD_FILENAMES: icd } });
  }
  return choices;
}

// Dawn says this of every driver at every start; it means nothing to anybody here.
const CHATTER = /^Warning: max\w+ artificially reduced /;

/** Passes a program's messages on, line by line, without Dawn's chatter. @param {import('node:stream').Readable} stream */
async function passMessages(stream) {
  for await (const line of createInterface({ input: stream })) {
    if (!CHATTER.test(line)) process.stderr.write(`${line}\n`);
  }
}

/**
 * @param {string} command @param {readonly string[]} args
 * @param {import('node:child_process').SpawnOptions} options
 * @returns {Promise<number>} the exit status, 128 + n for signal n
 */
export function runProcess(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['inherit', 'inherit', 'pipe'], ...options });
    const messages = child.stderr ? passMessages(child.stderr) : Promise.resolve();
    /** @param {NodeJS.Signals} signal */
    const forward = (signal) => child.kill(signal);
    /** @type {NodeJS.Signals[]} */
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      for (const name of signals) process.off(name, forward);
      void messages.then(() => resolve(signal ? 128 + constants.signals[signal] : (code ?? 1)));
    });
  });
}

export const NO_ADAPTER_SENTENCE =
  'No WebGPU adapter was found: install a Vulkan driver for your GPU, or Chromium ' +
  '(on Debian: apt-get install chromium), whose software adapter can take its place.';

/**
 * Runs Node with these arguments on the first driver that gives an adapter.
 * @param {readonly string[]} args
 * @param {{ cwd?: string }} [options]
 * @returns {Promise<number>} the exit status
 */
export async function runWithGpu(args, options = {}) {
  for (const choice of gpuChoices()) {
    const env = { ...choice.env, ATHANOR_NO_ADAPTER_STATUS: String(NO_ADAPTER_STATUS) };
    const status = await runProcess(choice.node, args, { env, cwd: options.cwd ?? process.cwd() });
    if (status !== NO_ADAPTER_STATUS) return status;
  }
  process.stderr.write(`${NO_ADAPTER_SENTENCE}\n`);
  return 1;
}
