import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** Folder of the clone. */
export const repository = join(import.meta.dirname, '..', '..');

/** Path of a file of deploy/. */
export function deployFile(name: string): string {
  return join(repository, 'deploy', name);
}

/** Text of a file of deploy/. */
export function readDeployFile(name: string): string {
  return readFileSync(deployFile(name), 'utf8');
}

/** Value of a YAML file of deploy/, with merge keys applied as compose applies them. */
export function readDeployYaml(name: string): unknown {
  return parse(readDeployFile(name), { merge: true });
}
