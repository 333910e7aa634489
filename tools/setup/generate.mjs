// @ts-check
/**
 * The contracts as TypeScript: `buf generate` turns proto/ into packages/contracts/gen, and `buf build` writes the same
 * contracts as one FileDescriptorSet (imports and comments included) for reflection and the gateway.
 *
 * Everything runs from node_modules without a network. The result is made beside its place and then moved there, so
 * that a failed generation leaves the last good one.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { withLock } from './lock.mjs';
import { printFailure, progress, SetupError } from './report.mjs';
import { fingerprint, folderFingerprint, isCurrent, listFiles, writeStamp } from './stamp.mjs';

/**
 * Generates when proto/, buf.gen.yaml or the generators changed since the last time; otherwise returns at once.
 *
 * @param {string} root folder of the clone
 */
export async function generateContracts(root) {
  const target = join(root, 'packages', 'contracts', 'gen');
  const stampFile = join(target, '.stamp');
  const expected = contractsFingerprint(root);
  if (isCurrent(stampFile, expected)) return;
  await withLock(
    join(root, '.cache', 'generate.lock'),
    () => {
      if (isCurrent(stampFile, expected)) return;
      if (listFiles(join(root, 'proto'), '.proto').length === 0) {
        progress('proto/ holds no contract yet: nothing to generate');
        return;
      }
      generate(root, target, expected);
    },
    (pid) => progress(`waiting for the contracts that process ${pid} generates`),
  );
}

/** @param {string} root */
function contractsFingerprint(root) {
  const read = (/** @type {string[]} */ ...path) => readFileSync(join(root, ...path));
  const version = (/** @type {string} */ name) =>
    String(JSON.parse(read('node_modules', name, 'package.json').toString('utf8')).version);
  return fingerprint([
    folderFingerprint(join(root, 'proto'), '.proto'),
    read('buf.yaml'),
    read('buf.gen.yaml'),
    read('tools', 'setup', 'generate.mjs'),
    version('ts-proto'),
    version('@bufbuild/buf'),
  ]);
}

/**
 * @param {string} root
 * @param {string} target
 * @param {string} stamp
 */
function generate(root, target, stamp) {
  const started = Date.now();
  const draft = join(root, '.cache', 'generate');
  const draftTarget = join(draft, 'packages', 'contracts', 'gen');
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draftTarget, { recursive: true });
  runBuf(root, ['generate', '--output', draft]);
  runBuf(root, ['build', '--output', join(draftTarget, 'descriptors.binpb')]);
  writeStamp(join(draftTarget, '.stamp'), stamp);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(dirname(target), { recursive: true });
  renameSync(draftTarget, target);
  rmSync(draft, { recursive: true, force: true });
  progress(`contracts generated in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

/**
 * @param {string} root
 * @param {string[]} args
 */
function runBuf(root, args) {
  const bin = join(root, 'node_modules', '.bin');
  const result = spawnSync(join(bin, 'buf'), args, {
    cwd: root,
    encoding: 'utf8',
    env: {
      ...process.env,
      PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`,
      BUF_CACHE_DIR: join(root, '.cache', 'buf'),
    },
  });
  if (result.status === 0) return;
  process.stderr.write(
    `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ? `${result.error.message}\n` : ''}`,
  );
  throw new SetupError(
    `buf ${args[0]} failed`,
    'Correct the lines of proto/ named above, then run the same command again.',
  );
}

const isMain =
  process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href;
if (isMain) {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  if (!existsSync(join(root, 'node_modules')))
    progress('node_modules is missing: run `npm run setup`');
  await generateContracts(root).catch((/** @type {unknown} */ error) => {
    printFailure(error);
    process.exitCode = 1;
  });
}
