import { cpus, loadavg, release, totalmem, type } from 'node:os';

/** What figures of a run depend on besides the program, in a line. */
export function machineFacts(): string {
  const models = [...new Set(cpus().map(({ model }) => model.trim()))].join(', ');
  const memoryGib = Math.round(totalmem() / 2 ** 30);
  const load = loadavg().map((value) => value.toFixed(1));
  return [
    `${cpus().length} processors (${models}), ${memoryGib} GiB`,
    `${type()} ${release()}`,
    `Node ${process.versions.node}`,
    `load ${load.join(' ')}`,
  ].join('; ');
}
