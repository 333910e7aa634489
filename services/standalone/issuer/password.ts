import { randomBytes, randomInt, scrypt, timingSafeEqual } from 'node:crypto';

/** Cost: 32 MiB and about 100 ms each, as OWASP's password storage sheet advises (N = 2^15, r = 8, p = 3). */
const cost = { N: 32_768, r: 8, p: 3 };
const maxMemoryBytes = 64 * 1_048_576;
const saltBytes = 16;
const hashBytes = 32;

/** Letters and digits that nobody takes for another; 20 of them are 98 bits. */
const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789';
const groups = 4;
const groupLength = 5;

/** A random password that people can type: four groups of five. */
export function generatePassword(): string {
  const group = (): string =>
    Array.from({ length: groupLength }, () => alphabet[randomInt(alphabet.length)]).join('');
  return Array.from({ length: groups }, group).join('-');
}

/** Hashes a password with scrypt (RFC 7914) and a fresh salt; the parameters are in the text. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltBytes);
  const hash = await derive(password, salt, cost);
  const { N, r, p } = cost;
  return ['scrypt', N, r, p, salt.toString('base64'), hash.toString('base64')].join('$');
}

/** Whether the password is the one that was hashed; takes as long when it is not, and false for an unreadable hash. */
export async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const [scheme, N, r, p, salt, hash] = stored.split('$');
  if (scheme !== 'scrypt' || salt === undefined || hash === undefined) return false;
  const expected = Buffer.from(hash, 'base64');
  if (expected.length !== hashBytes) return false;
  const parameters = { N: Number(N), r: Number(r), p: Number(p) };
  const actual = await derive(password, Buffer.from(salt, 'base64'), parameters);
  return timingSafeEqual(actual, expected);
}

function derive(password: string, salt: Buffer, parameters: typeof cost): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { ...parameters, maxmem: maxMemoryBytes };
    scrypt(password.normalize('NFKC'), salt, hashBytes, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
