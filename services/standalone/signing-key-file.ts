import type { DataDirectory } from './data-directory.ts';
import { rotateSigningKeys, type SigningKeys } from './issuer/signing-keys.ts';

const file = 'issuer-keys.json';

/**
 * The signing keys of the embedded issuer, made at the first start and rotated when they are old.
 *
 * @throws when the file cannot be read as such
 */
export async function ensureSigningKeys(directory: DataDirectory, now: Date): Promise<SigningKeys> {
  const { keys, isChanged } = readKeys(directory, now);
  if (isChanged) await directory.write(file, `${JSON.stringify(keys, undefined, 2)}\n`);
  return keys;
}

function readKeys(directory: DataDirectory, now: Date): ReturnType<typeof rotateSigningKeys> {
  try {
    return rotateSigningKeys(directory.read(file), now);
  } catch (cause) {
    const path = directory.file(file);
    throw new Error(`${path} is damaged: put it back, or remove it to void all logins`, { cause });
  }
}
