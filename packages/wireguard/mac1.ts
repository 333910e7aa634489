/**
 * mac1 of handshake messages: a keyed hash under a key that anybody can derive from the receiver's public key (the
 * WireGuard paper, section 5.4.4). It proves that the sender knows whom it addresses, and nothing more: whoever captured
 * a message, and every other member of a network, passes as well.
 *
 * The hash is BLAKE2s with a key and 16 bytes of output, which node:crypto does not have; WebAssembly has, and its state
 * after the key block can be saved, so that a message costs two compressions instead of three.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createBLAKE2s } from 'hash-wasm';
import { MAC_BYTES, type MessageView } from './message.ts';
import type { WireGuardPublicKey } from './wireguard-key.ts';

/** LABEL_MAC1 of section 5.4. */
const LABEL_MAC1 = 'mac1----';
const MAC_BITS = 8 * MAC_BYTES;

/** State of the hash after the key block of one receiver. Not secret: it follows from the public key. */
export type Mac1State = Uint8Array;

/** Whether a datagram of an initiation's or a response's length carries the mac1 of the receiver of this state. */
export type Mac1Verifier = (state: Mac1State, message: MessageView) => boolean;

/** Prepares the check of messages to the holder of a key. Takes about 0.2 ms. */
export async function createMac1State(receiver: WireGuardPublicKey): Promise<Mac1State> {
  const key = createHash('blake2s256').update(LABEL_MAC1).update(receiver).digest();
  const hasher = await createBLAKE2s(MAC_BITS, key);
  return hasher.init().save();
}

/** Makes a verifier; one serves all receivers, and checks without waiting. */
export async function createMac1Verifier(): Promise<Mac1Verifier> {
  const hasher = await createBLAKE2s(MAC_BITS);
  return (state, { bytes, offset, length }) => {
    const macOffset = offset + length - 2 * MAC_BYTES;
    if (macOffset < offset) return false;
    const computed = hasher.load(state).update(bytes.subarray(offset, macOffset)).digest('binary');
    return timingSafeEqual(computed, bytes.subarray(macOffset, macOffset + MAC_BYTES));
  };
}
