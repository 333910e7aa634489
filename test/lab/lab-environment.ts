import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the clone. */
export const repositoryFolder = fileURLToPath(new URL('../..', import.meta.url));

/** A program of the repository as `npx` would start it. */
export function repositoryProgram(name: 'nexd' | 'nexctl'): string {
  return join(repositoryFolder, 'node_modules', '.bin', name);
}

/** Variables of this process that must not reach the programs of a lab: settings of other Nexodus processes. */
const FOREIGN = /^(NEXODUS|NEXD|NEXCTL|NODE)_|^(HTTPS?|NO)_PROXY$|^NOTIFY_SOCKET$|^VITEST/i;

/** The environment of a lab's programs: that of this process with the pinned Node first, without foreign settings. */
export function labEnvironment(settings: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name));
  const path = [join(repositoryFolder, 'node_modules', '.bin'), process.env['PATH'] ?? ''];
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter), ...settings };
}
