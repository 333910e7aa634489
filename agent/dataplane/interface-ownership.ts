import type { CommandRunner } from './command-runner.ts';
import type { IpInterface } from './core/ip-output.ts';
import { DataplaneError } from './dataplane-error.ts';

/** The `ifalias` that marks an interface as made by nexd. */
const OWNER_ALIAS = 'nexodus';

/** Marks the interface as ours. */
export async function markAsOurs(runner: CommandRunner, interfaceName: string): Promise<void> {
  await runner.run('ip', ['link', 'set', 'dev', interfaceName, 'alias', OWNER_ALIAS]);
}

/** Whether nexd made the interface. */
export function isOurs(link: IpInterface): boolean {
  return link.alias === OWNER_ALIAS;
}

/** The error for an interface name that something else uses. `detail` says what was found. */
export function interfaceTaken(interfaceName: string, detail: string): DataplaneError {
  return new DataplaneError(
    'interface-taken',
    `The interface ${interfaceName} exists and is not ours: ${detail}.`,
    `Choose another name with --interface, or remove it with \`ip link delete ${interfaceName}\`.`,
  );
}

/** Throws DataplaneError(`port-taken`) where a UDP socket holds the port; 0 is never taken. */
export async function assertPortFree(runner: CommandRunner, listenPort: number): Promise<void> {
  if (listenPort === 0) return;
  const args = ['-H', '-u', '-l', '-n', '-p', 'sport', '=', `:${listenPort}`];
  const holder = (await runner.run('ss', args)).stdout.trim();
  if (holder === '') return;
  const program = /users:\(\("([^"]+)",pid=([0-9]+)/.exec(holder);
  const by = program === null ? 'another socket' : `${program[1]} (process ${program[2]})`;
  throw portTaken(listenPort, by);
}

/** The error for a UDP port that `holder` has bound. */
export function portTaken(listenPort: number, holder: string): DataplaneError {
  return new DataplaneError(
    'port-taken',
    `UDP port ${listenPort} is taken by ${holder}.`,
    'Choose another port with --listen-port, or end the other program.',
  );
}
