import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type HostProcess, startProcess } from '@nexodus/netsim';
import { labEnvironment, repositoryProgram } from '../lab/lab-environment.ts';

/** How a command ended. */
export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Somebody at a terminal, with a configuration of their own. */
export interface Person extends AsyncDisposable {
  /** File with their logins. */
  readonly loginFile: string;
  /** Runs `nexctl` to its end, whatever that is. */
  nexctl(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Outcome>;
  /** Begins a login and returns once a person has to act. */
  beginLogin(args: readonly string[]): Promise<BegunLogin>;
  /** The logins as they are kept. */
  logins(): Promise<KeptLogins>;
  /** Replaces what is kept. */
  writeLogins(logins: KeptLogins): Promise<void>;
}

/** A terminal that waits for the login. */
export interface BegunLogin {
  readonly process: HostProcess;
  readonly verificationUrl: string;
  readonly userCode: string;
  /** The address with the code in it. */
  readonly completeUrl: string;
}

/** What the file of logins holds, as far as tests look at it. */
export interface KeptLogins {
  services: Record<string, { idToken: string; refreshToken: string; expireAtMs: number }>;
}

/** What `nexctl login` and `nexd up` tell a person. */
const loginPrompt = /open (https:\/\/\S+) and enter the code (\S+)$/i;
const completePrompt = /^(?:nexd: )?or open (\S+)$/;

/** Longest that one command may take: it starts a program and makes a few calls. */
const commandMs = 30_000;

/** A person who never logged in anywhere. */
export async function createPerson(): Promise<Person> {
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-person-'));
  const loginFile = join(folder, 'nexodus', 'credentials.json');
  const own = labEnvironment({ XDG_CONFIG_HOME: folder, HOME: folder });
  const program = repositoryProgram('nexctl');
  return {
    loginFile,
    nexctl: (args, env = {}) =>
      new Promise((resolve) => {
        const options = { env: { ...own, ...env }, timeout: commandMs };
        execFile(program, [...args], options, (error, stdout, stderr) => {
          const exitCode = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
          resolve({ exitCode, stdout, stderr });
        });
      }),
    beginLogin: async (args) =>
      readPrompt(await startProcess([program, 'login', ...args], { env: own })),
    // Written by the program under test; a wrong form shows in what is expected of it.
    logins: async () => JSON.parse(await readFile(loginFile, 'utf8')) as KeptLogins,
    writeLogins: (logins) => writeFile(loginFile, JSON.stringify(logins), { mode: 0o600 }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Waits until a program tells a person to act. */
export async function readPrompt(process: HostProcess): Promise<BegunLogin> {
  const [, verificationUrl = '', userCode = ''] = await process.waitForLine(loginPrompt, {
    deadlineMs: commandMs,
  });
  const [, completeUrl = ''] = await process.waitForLine(completePrompt, { deadlineMs: 1_000 });
  return { process, verificationUrl, userCode, completeUrl };
}

/** A program's environment in which its clock is ahead by so much. */
export function clockAhead(shiftMs: number): NodeJS.ProcessEnv {
  const script = fileURLToPath(new URL('../bad-input/shift-clock.ts', import.meta.url));
  return { NODE_OPTIONS: `--import=${script}`, TEST_CLOCK_SHIFT_MS: String(shiftMs) };
}
