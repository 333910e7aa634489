import type { WireGuardPrivateKey } from '@nexodus/wireguard';
import { BOX_NONCE_BYTES, BOX_TAG_BYTES, CryptoBox } from './crypto-box.ts';
import { DerpFormatError } from './derp-format-error.ts';
import { encodeFrame } from './encode-frame.ts';
import { payloadOf, type Frame } from './frame-reader.ts';
import { expectFrame, keyInFrame, openWithNonce, sealWithNonce } from './handshake-frames.ts';
import { decodeServerInfo, encodeClientInfo, type ClientInfo, type ServerInfo } from './info.ts';
import { decodeHealth } from './messages.ts';
import { KEY_BYTES, MAGIC, frameType } from './wire-format.ts';

/** What a frame of the server leads to. */
export type ClientHandshakeEffect =
  /** Send these bytes. */
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  /** The server has shown that it holds its key; packets may flow. */
  | { readonly kind: 'ready'; readonly serverInfo: ServerInfo }
  /** The server says why it will close the connection. */
  | { readonly kind: 'refused'; readonly problem: string };

/** What a client's side of a handshake starts from. */
export interface ClientHandshakeOptions {
  /** The device's WireGuard key. */
  readonly privateKey: WireGuardPrivateKey;
  readonly info: ClientInfo;
  /** 24 unpredictable bytes, for the one box that the client makes. */
  readonly nonce: Uint8Array;
}

type State =
  | { readonly name: 'awaiting-server-key' }
  | { readonly name: 'awaiting-server-info'; readonly box: CryptoBox }
  | { readonly name: 'over' };

/**
 * A client's side of the handshake.
 *
 *     awaiting-server-key --serverKey---> awaiting-server-info (sends clientInfo)
 *     awaiting-server-info --serverInfo-> over (ready)
 *     awaiting-server-info --health-----> over (refused)
 *     any --anything else---------------> over (throws)
 */
export class ClientHandshake {
  readonly #options: ClientHandshakeOptions;
  #state: State = { name: 'awaiting-server-key' };

  constructor(options: ClientHandshakeOptions) {
    this.#options = options;
  }

  /**
   * Takes a frame of the server.
   *
   * @throws {DerpFormatError}
   */
  receive(frame: Frame): ClientHandshakeEffect {
    const state = this.#state;
    this.#state = { name: 'over' };
    switch (state.name) {
      case 'awaiting-server-key': {
        const box = this.#boxFor(frame);
        this.#state = { name: 'awaiting-server-info', box };
        return { kind: 'send', bytes: this.#clientInfo(box) };
      }
      case 'awaiting-server-info': {
        if (frame.type === frameType.health) {
          return { kind: 'refused', problem: decodeHealth(payloadOf(frame)) };
        }
        const least = BOX_NONCE_BYTES + BOX_TAG_BYTES;
        const payload = expectFrame(frame, frameType.serverInfo, least);
        this.#requireOtherNonce(payload);
        const serverInfo = decodeServerInfo(openWithNonce(state.box, payload));
        return { kind: 'ready', serverInfo };
      }
      case 'over':
        throw new DerpFormatError('order', 'The handshake is over.');
    }
  }

  #boxFor(frame: Frame): CryptoBox {
    const payload = expectFrame(frame, frameType.serverKey, MAGIC.length + KEY_BYTES);
    if (!MAGIC.every((byte, index) => payload[index] === byte)) {
      throw new DerpFormatError('magic', 'The greeting is not that of DERP.');
    }
    const key = keyInFrame(payload.subarray(MAGIC.length, MAGIC.length + KEY_BYTES), 'derp');
    return new CryptoBox(this.#options.privateKey, key);
  }

  /** A box says which two keys made it, not which of them: the client's own must not pass for an answer. */
  #requireOtherNonce(payload: Uint8Array): void {
    if (this.#options.nonce.every((byte, index) => payload[index] === byte)) {
      throw new DerpFormatError('box', "The server gave back the client's own box.");
    }
  }

  #clientInfo(box: CryptoBox): Uint8Array {
    const { privateKey, info, nonce } = this.#options;
    return encodeFrame(
      frameType.clientInfo,
      privateKey.publicKey,
      ...sealWithNonce(box, encodeClientInfo(info), nonce),
    );
  }
}
