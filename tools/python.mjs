// The Python with torch, transformers and peft that the interop ring and the reference scripts use: a virtual environment in
// .cache/, made anew when tests/reference/requirements.txt changes. `npm run python` makes it and prints its path.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { aptInstall, isProgram } from './apt.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const requirements = join(root, 'tests/reference/requirements.txt');

const folder = join(root, '.cache/reference-venv');
/** A copy of the requirements that were installed, written last; tests/reference/python.sh goes by the same file. */
const marker = join(folder, 'requirements.installed');

const interpreter = join(folder, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');

function isComplete() {
  return existsSync(marker) && readFileSync(marker, 'utf8') === readFileSync(requirements, 'utf8');
}

/**
 * The interpreter, where it has been made (or ATHANOR_PYTHON names one).
 * @returns {string | undefined}
 */
export function findPython() {
  const given = process.env['ATHANOR_PYTHON'];
  if (given) return given;
  return isComplete() ? interpreter : undefined;
}

/**
 * Makes the environment if it is missing (a minute or two, about 5 GB) and gives its interpreter. What it prints goes to stderr.
 * @returns {string}
 */
export function preparePython() {
  const found = findPython();
  if (found) return found;
  /** @param {string} command @param {string[]} args */
  const run = (command, args) => execFileSync(command, args, { stdio: ['ignore', 2, 2], cwd: root });
  const python =
    ['python3', 'python'].find(isProgram) ?? (aptInstall(['python3', 'python3-venv']) ? 'python3' : undefined);
  if (!python) throw new Error('Python 3 was not found: install python3 and python3-venv, or set ATHANOR_PYTHON.');
  const make = () => {
    rmSync(folder, { recursive: true, force: true });
    run(python, ['-m', 'venv', folder]);
    run(interpreter, ['-m', 'pip', '--version']);
  };
  try {
    make();
  } catch {
    // Debian's python3 comes without ensurepip.
    if (!aptInstall(['python3-venv']))
      throw new Error('Python cannot make a virtual environment: install python3-venv.');
    make();
  }
  run(interpreter, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements]);
  copyFileSync(requirements, marker);
  return interpreter;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(preparePython());
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}
