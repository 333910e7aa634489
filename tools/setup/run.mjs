// @ts-check
/**
 * The door of the repository: `node tools/setup/run.mjs [script.ts args...]`.
 *
 * Any Node from 20 on, with nothing installed, can run it. It brings the clone to the state in which everything else
 * works (dependencies, generated contracts) and then hands over to the pinned Node with the given script. Without a
 * script (`npm run setup`) it prepares the Debian packages of the tests too and stops.
 */
import { spawn } from 'node:child_process';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateContracts } from './generate.mjs';
import { installDependencies, pinnedNode } from './install.mjs';
import { printFailure, SetupError } from './report.mjs';
import { standInFor } from './stand-in.mjs';

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
  await handOver(resolve(root, script), args);
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
async function handOver(script, args) {
  const child = spawn(pinnedNode(root), [script, ...args], {
    stdio: 'inherit',
    env: {
      ...process.env,
      PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env['PATH'] ?? ''}`,
    },
  });
  try {
    process.exitCode = await standInFor(child, (signal) => child.kill(signal));
  } catch (error) {
    throw new SetupError(
      `the pinned Node cannot be started: ${String(error)}`,
      'Delete node_modules and run the same command again.',
    );
  }
  process.exit();
}
