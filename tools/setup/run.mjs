// @ts-check
/**
 * The door of the repository: `node tools/setup/run.mjs [script.ts args...]`.
 *
 * Any Node from 20 on, with nothing installed, can run it. It brings the clone to the state in which everything else
 * works (dependencies, generated contracts) and then hands over to the pinned Node with the given script. Without a
 * script (`npm run setup`) it prepares the Debian packages of the tests too and stops.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateContracts } from './generate.mjs';
import { installDependencies, pinnedNode } from './install.mjs';
import { printFailure, progress, SetupError } from './report.mjs';

const OLDEST_NODE_MAJOR = 20;
const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));

try {
  const major = Number.parseInt(process.versions.node, 10);
  if (major < OLDEST_NODE_MAJOR) {
    throw new SetupError(
      `Node ${process.versions.node} is too old`,
      `Install Node ${OLDEST_NODE_MAJOR} or later.`,
    );
  }
  await installDependencies(root);
  await generateContracts(root);
  const [script = 'tools/setup/debian.ts', ...args] = process.argv.slice(2);
  handOver(resolve(root, script), args);
} catch (error) {
  printFailure(error);
  process.exitCode = 1;
}

/**
 * Runs the script by the pinned Node as if it had been started directly: same terminal, same working folder, its exit
 * code or signal is ours.
 *
 * @param {string} script
 * @param {string[]} args
 */
function handOver(script, args) {
  const child = spawn(pinnedNode(root), [script, ...args], {
    stdio: 'inherit',
    env: {
      ...process.env,
      PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env['PATH'] ?? ''}`,
    },
  });
  for (const signal of /** @type {NodeJS.Signals[]} */ ([
    'SIGINT',
    'SIGTERM',
    'SIGHUP',
    'SIGQUIT',
  ])) {
    process.on(signal, () => {
      if (!terminalSends(signal)) child.kill(signal);
    });
  }
  child.on('error', (error) => {
    progress(
      `the pinned Node cannot be started: ${error.message}. Delete node_modules and run the same command again.`,
    );
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    if (signal !== null) process.exitCode = 128 + constants.signals[signal];
    else process.exitCode = code ?? 1;
    process.exit();
  });
}

/**
 * A terminal sends Ctrl-C to every process of its foreground group, so the child has it already; sending it on would
 * look like an impatient second Ctrl-C. Signals sent to this process alone (kill, a supervisor) are passed on.
 *
 * @param {NodeJS.Signals} signal
 */
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
