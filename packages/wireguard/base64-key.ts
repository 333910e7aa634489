import { InvalidKeyError } from './invalid-key-error.ts';

/**
 * Decodes the one base64 text (RFC 4648 section 4, padded) of 32 bytes, as `wg` prints keys.
 * Throws InvalidKeyError for anything else, including texts that only decode to the same bytes.
 */
export function decodeBase64Key(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) {
    throw new InvalidKeyError('not-base64', 'A key is 44 characters of base64, ending in "=".');
  }
  return new Uint8Array(bytes);
}

/** The padded base64 text of a key's bytes. */
export function encodeBase64Key(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
