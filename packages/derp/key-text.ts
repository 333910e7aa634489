import { KEY_BYTES } from './wire-format.ts';

/** The key of a Map for the public key at `offset`: one text for each key, one character for each byte. */
export function keyTextAt(bytes: Uint8Array, offset: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + offset, KEY_BYTES).toString('latin1');
}

/** Whether the public key at `offset` is this one. */
export function isKeyAt(bytes: Uint8Array, offset: number, key: Uint8Array): boolean {
  for (let index = 0; index < KEY_BYTES; index += 1) {
    if (bytes[offset + index] !== key[index]) return false;
  }
  return true;
}
