import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { parseRegistrationKey, type RegistrationKey } from '@nexodus/device-identity';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { takeArgument } from '../command/take-argument.ts';

/** Variable that carries a registration key. */
const REGISTRATION_KEY_VARIABLE = 'NEXD_REG_KEY';

/** Where a registration key may come from. */
export interface RegistrationKeySources {
  /** File, or "-" for standard input. */
  readonly file?: string;
  /** The key itself, where `hideRegistrationKeyArgument` left it among the arguments. */
  readonly argument?: string;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Reads the registration key: from the file, else from NEXD_REG_KEY, which is removed from the environment so that no
 * child inherits it. Undefined where there is none.
 *
 * @throws {CommandError} for a file that cannot be read; {RegistrationKeyError} for a text that is no key
 */
export async function readRegistrationKey({
  file,
  argument,
  env,
}: RegistrationKeySources): Promise<RegistrationKey | undefined> {
  const fromEnvironment = env[REGISTRATION_KEY_VARIABLE];
  delete env[REGISTRATION_KEY_VARIABLE];
  if (argument !== undefined) return parseRegistrationKey(argument);
  if (file === '-') return parseRegistrationKey(await text(process.stdin));
  if (file !== undefined) return parseRegistrationKey(await readKeyFile(file));
  return fromEnvironment === undefined || fromEnvironment === ''
    ? undefined
    : parseRegistrationKey(fromEnvironment);
}

async function readKeyFile(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw new CommandError(
      ExitCode.usage,
      `The registration key file ${path} cannot be read`,
      'Name a file that holds the key, or - for standard input',
      { cause },
    );
  });
}

/**
 * Where a key stands in the arguments, starts this program anew with the key in its environment, which only its user
 * can read, instead of in its arguments, which everybody on the machine can. The process keeps its id, terminal and
 * descriptors. Returns where there is no such argument. What started this program (a shell, npx) may still show it.
 *
 * @param argv as `process.argv`
 */
export function hideRegistrationKeyArgument(argv: readonly string[], env: NodeJS.ProcessEnv): void {
  const { rest, key } = takeKeyArgument(argv);
  const [program] = rest;
  // An empty key in the environment would pass for none: it stays, and is refused.
  const isEmpty = key === undefined || key === '';
  if (isEmpty || program === undefined || process.execve === undefined) return;
  process.stderr.write(
    'nexd: --reg-key shows the key to everybody on this machine for a moment. Prefer --reg-key-file or NEXD_REG_KEY.\n',
  );
  const variables = { ...env, [REGISTRATION_KEY_VARIABLE]: key };
  process.execve(process.execPath, [program, ...process.execArgv, ...rest.slice(1)], variables);
}

/** Splits the key off the arguments. */
export function takeKeyArgument(argv: readonly string[]): {
  rest: readonly string[];
  key: string | undefined;
} {
  const { rest, value } = takeArgument(argv, '--reg-key');
  return { rest, key: value };
}
