import { readFileSync } from 'node:fs';

/** Files that the process needs beside the sockets of sessions. */
const OTHER_FILES = 1_024;

/** Sessions for which this process may have sockets: one for each side and family. */
export function sessionsByOpenFiles(families: number): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const openFiles = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
    return Math.max(0, Math.floor((openFiles - OTHER_FILES) / (2 * families)));
  } catch {
    // Another system than Linux, where the limit is found out by reaching it.
    return Infinity;
  }
}
