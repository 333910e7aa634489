import { randomBytes } from 'node:crypto';
import { ROOT_SECRET_BYTES } from '@nexodus/device-identity';
import type { DataDirectory } from './data-directory.ts';

const file = 'root-secret';

/**
 * The secret that the service derives its keys from, made at the first start.
 *
 * @throws when the file holds anything else: another secret would void every token and login
 */
export async function ensureRootSecret(directory: DataDirectory): Promise<Uint8Array> {
  const text = directory.read(file);
  if (text === undefined) {
    const secret = randomBytes(ROOT_SECRET_BYTES);
    await directory.write(file, `${secret.toString('hex')}\n`);
    return secret;
  }
  const secret = Buffer.from(text.trim(), 'hex');
  if (secret.length !== ROOT_SECRET_BYTES) {
    throw new Error(
      `${directory.file(file)} must hold ${ROOT_SECRET_BYTES} bytes in hex: put it back, or remove it to void all tokens and logins`,
    );
  }
  return secret;
}
