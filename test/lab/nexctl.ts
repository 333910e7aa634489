import type { VirtualHost } from '@nexodus/netsim';
import { labEnvironment, repositoryProgram } from './lab-environment.ts';

/** The command line on one machine with one account. */
export interface Nexctl {
  /** Runs a command and parses what it prints with `--output json`. @throws CommandError with its words */
  json(args: readonly string[]): Promise<unknown>;
  /** Runs a command and gives what it prints. @throws CommandError with its words */
  text(args: readonly string[]): Promise<string>;
}

/** Longest that one command may take: it starts a program and makes a few calls. */
const TIMEOUT_MS = 30_000;

/** `nexctl` on a machine, as the account of a credentials file or, without one, for what needs none. */
export function createNexctl(host: VirtualHost, credentialsFile?: string): Nexctl {
  const account = credentialsFile === undefined ? [] : ['--credentials', credentialsFile];
  const run = (args: readonly string[]) =>
    host.run(repositoryProgram('nexctl'), [...account, ...args], {
      env: labEnvironment(),
      timeoutMs: TIMEOUT_MS,
    });
  return {
    text: run,
    json: async (args) => JSON.parse(await run([...args, '--output', 'json'])) as unknown,
  };
}
