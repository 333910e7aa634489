// @ts-check
/** A process that only waits for another one it started, and looks from outside as if it were that one. */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

/**
 * Waits for the child, and meanwhile takes the signals that were meant for it.
 *
 * A terminal sends Ctrl-C to every process of its foreground group, so the child has it already; sending it on would
 * look like an impatient second Ctrl-C. Signals sent to this process alone (kill, a supervisor) are passed on.
 *
 * @param {import('node:child_process').ChildProcess} child just started
 * @param {(signal: NodeJS.Signals) => void} passOn
 * @returns {Promise<number>} its exit code, or 128 and the number of its signal; rejects if it cannot be started
 */
export function standInFor(child, passOn) {
  for (const signal of /** @type {NodeJS.Signals[]} */ ([
    'SIGINT',
    'SIGTERM',
    'SIGHUP',
    'SIGQUIT',
  ])) {
    process.on(signal, () => {
      if (!terminalSends(signal)) passOn(signal);
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]),
    );
  });
}

/** @param {NodeJS.Signals} signal */
function terminalSends(signal) {
  if (signal !== 'SIGINT' && signal !== 'SIGQUIT') return false;
  try {
    // proc(5), /proc/pid/stat: after the command in parentheses: state ppid pgrp session tty_nr tpgid
    const stat = readFileSync('/proc/self/stat', 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [, , processGroup, , terminal, foregroundGroup] = fields;
    return terminal !== '0' && processGroup === foregroundGroup;
  } catch {
    return process.stdin.isTTY === true;
  }
}
