import { mkdir, readdir, stat } from 'node:fs/promises';
import { StateError } from './state-error.ts';
import { asStateError } from './system-fault.ts';

/** Permissions that anybody but the owner has. */
const OTHERS = 0o077;

/** Whether a file of this name shows that nexd keeps its state in a directory. */
function isOurs(name: string): boolean {
  return name === 'keys.json' || name === 'nexd.lock' || name.endsWith('.sealed');
}

/**
 * Makes the state directory, mode 0700, where it is not there. One that exists stays as it is: it must be its owner's
 * alone, or hold state of nexd already, so that a wrong --state-dir neither closes a directory of others nor puts keys
 * where others could replace them.
 *
 * @throws {StateError}
 */
export async function prepareStateDirectory(directory: string): Promise<void> {
  try {
    const made = await mkdir(directory, { recursive: true, mode: 0o700 });
    if (made !== undefined) return;
    const { mode } = await stat(directory);
    if ((mode & OTHERS) === 0 || (await readdir(directory)).some(isOurs)) return;
    throw new StateError(
      'inaccessible',
      `${directory} is no state directory: others can use it (mode 0${(mode & 0o777).toString(8)}), and nexd keeps nothing there`,
      'Name another one with --state-dir, or `chmod 700` this one if it is meant for nexd alone',
    );
  } catch (error) {
    throw asStateError(error, directory);
  }
}
