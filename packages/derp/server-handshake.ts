import { timingSafeEqual } from 'node:crypto';
import type { WireGuardPublicKey, X25519PrivateKey } from '@nexodus/wireguard';
import { BOX_NONCE_BYTES, BOX_TAG_BYTES, CryptoBox } from './crypto-box.ts';
import { DerpFormatError } from './derp-format-error.ts';
import { encodeFrame } from './encode-frame.ts';
import type { Frame } from './frame-reader.ts';
import { expectFrame, keyInFrame, openWithNonce, sealWithNonce } from './handshake-frames.ts';
import { decodeClientInfo, encodeServerInfo, type ClientInfo, type ServerInfo } from './info.ts';
import { KEY_BYTES, MAGIC, frameType } from './wire-format.ts';

/** A client that has shown that it holds its key. */
export interface ProvenClient {
  readonly publicKey: WireGuardPublicKey;
  readonly info: ClientInfo;
  /** The serverInfo frame, with which the handshake ends. `nonce`: 24 unpredictable bytes. */
  readonly welcome: (info: ServerInfo, nonce: Uint8Array) => Uint8Array;
}

/** What a server's side of a handshake starts from. */
export interface ServerHandshakeOptions {
  /**
   * A key made for this one connection: it makes the client's box the answer to a challenge. With a key that serves
   * twice, a box that was recorded could be played again.
   */
  readonly serverKey: X25519PrivateKey<'derp'>;
  /** What names the channel under the protocol, such as the tls-exporter of RFC 9266; undefined where nothing does. */
  readonly channelBinding?: Uint8Array;
}

/**
 * A server's side of the handshake: it sends its greeting, and `prove` takes the one frame that answers it.
 *
 *     waiting --clientInfo whose box opens--> proven
 *     waiting --anything else---------------> failed
 */
export class ServerHandshake {
  /** The serverKey frame, to be sent first. */
  readonly greeting: Uint8Array;
  readonly #options: ServerHandshakeOptions;
  #state: 'waiting' | 'proven' | 'failed' = 'waiting';

  constructor(options: ServerHandshakeOptions) {
    this.#options = options;
    this.greeting = encodeFrame(
      frameType.serverKey,
      Uint8Array.from(MAGIC),
      options.serverKey.publicKey,
    );
  }

  /**
   * Takes the client's first frame. The client holds the private half of the key it names: its box could be made only
   * with that or with the server's key of this connection.
   *
   * @throws {DerpFormatError}
   */
  prove(frame: Frame): ProvenClient {
    if (this.#state !== 'waiting') {
      throw new DerpFormatError('order', 'The handshake is over.');
    }
    this.#state = 'failed';
    const payload = expectFrame(
      frame,
      frameType.clientInfo,
      KEY_BYTES + BOX_NONCE_BYTES + BOX_TAG_BYTES,
    );
    const publicKey = keyInFrame(payload.subarray(0, KEY_BYTES), 'wireguard');
    const box = new CryptoBox(this.#options.serverKey, publicKey);
    const info = decodeClientInfo(openWithNonce(box, payload.subarray(KEY_BYTES)));
    this.#requireSameChannel(info.channelBinding);
    this.#state = 'proven';
    return {
      publicKey,
      info,
      welcome: (serverInfo, nonce) =>
        encodeFrame(
          frameType.serverInfo,
          ...sealWithNonce(box, encodeServerInfo(serverInfo), nonce),
        ),
    };
  }

  /**
   * A relay in the middle can pass on another relay's greeting and the box that answers it, but cannot open the box. So a
   * client that names its channel in the box cannot be used to connect as it elsewhere.
   */
  #requireSameChannel(named: Uint8Array | undefined): void {
    const own = this.#options.channelBinding;
    if (named === undefined || own === undefined) return;
    if (named.length !== own.length || !timingSafeEqual(named, own)) {
      throw new DerpFormatError('channel', 'The box was made for another connection.');
    }
  }
}
