import { mkdir, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { writeFileAtomically } from '../state/atomic-file.ts';
import { systemErrorCode } from '../state/system-fault.ts';

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

/** Keeps the logins, mode 0600. @throws {StateError} */
export async function writeLogins(path: string, logins: Logins): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const text = JSON.stringify(logins, undefined, 2);
  await writeFileAtomically(path, Buffer.from(`${text}\n`), { keepsPrevious: false });
}
