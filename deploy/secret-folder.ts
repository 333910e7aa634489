import { access, chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Something that would have to be overwritten or is missing. Its message says what to do. */
export class PrepareError extends Error {
  override readonly name = 'PrepareError';
}

/** Makes a folder that only its owner enters. */
export async function makePrivateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
}

/**
 * Writes files that only their owner reads (0600), never over one that is there: a key that something relies on must not
 * vanish because a command was given twice.
 *
 * @throws {PrepareError} before anything is written, when one of the files exists
 */
export async function writeSecretFiles(
  folder: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  await makePrivateFolder(folder);
  for (const name of Object.keys(files)) {
    if (await exists(join(folder, name)))
      throw new PrepareError(
        `${join(folder, name)} is there already; remove it, or choose another folder, to make new ones`,
      );
  }
  for (const [name, text] of Object.entries(files))
    await writeFile(join(folder, name), text, { mode: 0o600, flag: 'wx' });
}

/**
 * Runs the work of a program of this folder: what it cannot do is one line on standard error and exit status 1.
 *
 * @param name of the program, for that line
 */
export async function runProgram(name: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
