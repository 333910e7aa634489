// @ts-check
/**
 * Stamps: a step of the set-up writes the fingerprint of its inputs beside its result and is skipped while they match.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';

/**
 * SHA-256 over named parts, in the given order. The length of each part is hashed too, so that moving a byte from one
 * part to the next changes the result.
 *
 * @param {readonly (string | Uint8Array)[]} parts
 * @returns {string} 64 hex digits
 */
export function fingerprint(parts) {
  const hash = createHash('sha256');
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest('hex');
}

/**
 * Fingerprint of all files under `folder` whose name ends in `extension`: their paths and contents, in path order. A
 * folder that does not exist counts as empty.
 *
 * @param {string} folder
 * @param {string} extension with its dot
 */
export function folderFingerprint(folder, extension) {
  const files = listFiles(folder, extension);
  return fingerprint(
    files.flatMap((file) => [relative(folder, file).split(sep).join('/'), readFileSync(file)]),
  );
}

/**
 * @param {string} folder
 * @param {string} extension with its dot
 * @returns {string[]} full paths in code unit order; empty when the folder does not exist
 */
export function listFiles(folder, extension) {
  try {
    // The names of a recursive listing, because its entries know their folder only from Node 20.12 on.
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith(extension))
      .map((name) => join(folder, name))
      .sort();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/**
 * @param {string} stampFile
 * @param {string} expected
 * @returns {boolean} false also when the stamp cannot be read
 */
export function isCurrent(stampFile, expected) {
  try {
    return readFileSync(stampFile, 'utf8') === expected;
  } catch {
    return false;
  }
}

/**
 * Writes a stamp so that a reader sees the old one or the new one, never half of it.
 *
 * @param {string} stampFile
 * @param {string} value
 */
export function writeStamp(stampFile, value) {
  mkdirSync(dirname(stampFile), { recursive: true });
  const draft = `${stampFile}.${process.pid}`;
  writeFileSync(draft, value);
  renameSync(draft, stampFile);
}
