import { homedir } from 'node:os';
import { join } from 'node:path';

/** Who runs the program, and where the system says its files go (XDG Base Directory Specification). */
export interface MachineUser {
  readonly isRoot: boolean;
  readonly env: NodeJS.ProcessEnv;
}

/** The user that this process runs as. */
export function currentUser(env: NodeJS.ProcessEnv = process.env): MachineUser {
  return { isRoot: process.getuid?.() === 0, env };
}

/** State directory of the device on an interface. */
export function defaultStateDirectory(interfaceName: string, { isRoot, env }: MachineUser): string {
  if (isRoot) return join('/var/lib/nexodus', interfaceName);
  const base = env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state');
  return join(base, 'nexodus', interfaceName);
}

/** Unix socket of the daemon of an interface. The daemon needs root, so this is root's for everybody. */
export function defaultSocketPath(interfaceName: string): string {
  return join('/run/nexodus', `${interfaceName}.sock`);
}
