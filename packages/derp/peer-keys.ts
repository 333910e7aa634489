import { wireGuardPublicKeyFromBytes, type WireGuardPublicKey } from '@nexodus/wireguard';
import { isKeyAt, keyTextAt } from './key-text.ts';

/** Keys that are remembered; a server that makes up more makes the client check them again. */
const REMEMBERED = 4_096;

/** Public keys as they were checked before: the same object for the same bytes, as long as it is remembered. */
export class PeerKeys {
  readonly #known = new Map<string, WireGuardPublicKey>();
  #last: WireGuardPublicKey | undefined;

  /** The key, or undefined where the bytes are none. */
  parse(bytes: Uint8Array): WireGuardPublicKey | undefined {
    if (this.#last !== undefined && isKeyAt(bytes, 0, this.#last)) return this.#last;
    const text = keyTextAt(bytes, 0);
    const key = this.#known.get(text) ?? checked(bytes);
    if (key === undefined) return undefined;
    if (this.#known.size >= REMEMBERED) this.#known.clear();
    this.#known.set(text, key);
    this.#last = key;
    return key;
  }
}

function checked(bytes: Uint8Array): WireGuardPublicKey | undefined {
  try {
    return wireGuardPublicKeyFromBytes(bytes);
  } catch {
    return undefined;
  }
}
