// Debian packages that the tests need, installed where that is possible without asking anybody.
import { spawnSync } from 'node:child_process';

/** @param {string} name */
export function isProgram(name) {
  return spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0;
}

/**
 * Installs packages as root or with a sudo that asks for no password.
 * @param {readonly string[]} packages
 * @returns {boolean} whether they are installed now
 */
export function aptInstall(packages) {
  if (process.platform !== 'linux' || !isProgram('apt-get')) return false;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status !== 0) return false;
  const prefix = isRoot ? [] : ['sudo', '-n'];
  /** @param {string[]} args */
  const apt = (args) => {
    const [command = '', ...rest] = [
      ...prefix,
      'env',
      'DEBIAN_FRONTEND=noninteractive',
      'apt-get',
      '-q',
      '-y',
      ...args,
    ];
    return spawnSync(command, rest, { stdio: ['ignore', 2, 2] }).status === 0;
  };
  process.stderr.write(`Installing ${packages.join(' ')} with apt-get\n`);
  const install = ['install', '--no-install-recommends', ...packages];
  return apt(install) || (apt(['update']) && apt(install));
}
