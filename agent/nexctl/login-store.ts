import { mkdir, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Clock } from '@nexodus/clock';
import { z } from 'zod';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { writeFileAtomically } from '../state/atomic-file.ts';
import { StateError } from '../state/state-error.ts';
import { lockState, type StateLock } from '../state/state-lock.ts';
import { asStateError, systemErrorCode } from '../state/system-fault.ts';

/** A login at one service. Its tokens open what the person may do. */
export interface Login {
  /** CA of the service, PEM; absent: the system's. */
  readonly caPem?: string;
  readonly issuer: { readonly url: string; readonly clientId: string; readonly scopes: string[] };
  readonly idToken: string;
  readonly refreshToken?: string;
  /** Milliseconds since 1970. */
  readonly expireAtMs: number;
}

/** Logins by origin of the service, and the service that commands go to when none is named. */
export interface Logins {
  readonly current?: string;
  readonly services: Readonly<Record<string, Login>>;
}

const schema = z.object({
  current: z.string().optional(),
  services: z.record(
    z.string(),
    z.object({
      caPem: z.string().optional(),
      issuer: z.object({ url: z.string(), clientId: z.string(), scopes: z.array(z.string()) }),
      idToken: z.string(),
      refreshToken: z.string().optional(),
      expireAtMs: z.number(),
    }),
  ),
});

/** Permissions that anybody but the owner has. */
const OTHERS = 0o077;

/** File of a person's logins (XDG Base Directory Specification). */
export function loginStorePath(env: NodeJS.ProcessEnv): string {
  const base = env.XDG_CONFIG_HOME ?? join(homedir(), '.config');
  return join(base, 'nexodus', 'credentials.json');
}

/** Reads the logins; none are there before the first. @throws {CommandError} `credentials` */
export async function readLogins(path: string): Promise<Logins> {
  try {
    if (((await stat(path)).mode & OTHERS) !== 0) {
      throw new CommandError(
        ExitCode.credentials,
        `The file ${path} with your logins can be read by others`,
        `Run \`chmod 600 ${path}\`, then \`nexctl login\``,
      );
    }
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (error instanceof CommandError) throw error;
    if (systemErrorCode(error) === 'ENOENT') return { services: {} };
    throw new CommandError(
      ExitCode.credentials,
      `The file ${path} with your logins cannot be read`,
      `Remove it and log in again`,
    );
  }
}

/** Longest wait for another command that changes the logins: it may be waiting for an issuer. */
const LOCK_WAIT_MS = 40_000;
const LOCK_POLL_MS = 50;

/**
 * Changes the logins while no other command does, and keeps them, mode 0600. Refresh tokens work once: two commands that used
 * the same one would end the login.
 *
 * @param change gives the logins it was given when there is nothing to change
 * @returns the logins as they are then
 * @throws {CommandError} {StateError} and leaves them as they were
 */
export async function changeLogins(
  path: string,
  clock: Clock,
  change: (logins: Logins) => Logins | Promise<Logins>,
): Promise<Logins> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw asStateError(error, dirname(path));
  });
  const lock = await waitForLock(`${path}.lock`, clock);
  try {
    const before = await readLogins(path);
    const after = await change(before);
    if (after !== before) await writeLogins(path, after);
    return after;
  } finally {
    lock.release();
  }
}

async function waitForLock(path: string, clock: Clock): Promise<StateLock> {
  const endAt = clock.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      return await lockState(path);
    } catch (error) {
      if (!(error instanceof StateError) || error.fault !== 'in-use') throw error;
      if (clock.now() >= endAt) {
        throw new CommandError(
          ExitCode.state,
          `Another nexctl has been changing your logins for ${LOCK_WAIT_MS / 1000} seconds`,
          'End it and try again',
          { cause: error },
        );
      }
    }
    await clock.wait(LOCK_POLL_MS);
  }
}

async function writeLogins(path: string, logins: Logins): Promise<void> {
  const text = JSON.stringify(logins, undefined, 2);
  await writeFileAtomically(path, Buffer.from(`${text}\n`), { keepsPrevious: false });
}
