import type { Duplex } from 'node:stream';
import type { Clock } from '@nexodus/clock';
import type { WireGuardPrivateKey } from '@nexodus/wireguard';
import { ClientHandshake } from './client-handshake.ts';
import { BOX_NONCE_BYTES } from './crypto-box.ts';
import { DerpConnectionError } from './derp-connection-error.ts';
import { FrameReader } from './frame-reader.ts';
import type { ServerInfo } from './info.ts';
import { MAX_HANDSHAKE_PAYLOAD_BYTES } from './wire-format.ts';

/** What a client's handshake over a stream needs; DerpClientOptions says what each is. */
export interface ShakeHandsOptions {
  readonly stream: Duplex;
  readonly head?: Uint8Array;
  readonly privateKey: WireGuardPrivateKey;
  readonly channelBinding?: Uint8Array;
  readonly clock: Clock;
  readonly random: (size: number) => Uint8Array;
  readonly handshakeTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** What is there after the handshake; the reader may hold frames that came behind it. */
export interface ShakenHands {
  readonly serverInfo: ServerInfo;
  readonly reader: FrameReader;
}

/**
 * Plays the client's side of the handshake over a stream, which is paused when it resolves.
 *
 * @throws {DerpConnectionError}
 * @throws {DerpFormatError}
 */
export async function shakeHands(options: ShakeHandsOptions): Promise<ShakenHands> {
  const { stream, head, signal } = options;
  const done = Promise.withResolvers<ShakenHands>();
  const fail = (error: Error): void => done.reject(error);
  const hear = createHearing(options, done.resolve);
  const onData = (chunk: Uint8Array): void => {
    try {
      hear(chunk);
    } catch (error) {
      done.reject(error);
    }
  };
  const onEnd = (cause?: Error): void => {
    const message = 'The connection ended during the handshake.';
    fail(new DerpConnectionError('closed', message, { cause }));
  };
  const onAbort = (): void => fail(new DerpConnectionError('aborted', 'The attempt was given up.'));
  const timer = options.clock.setTimer(options.handshakeTimeoutMs ?? 10_000, () => {
    fail(new DerpConnectionError('timeout', 'The handshake took too long.'));
  });
  const ends = ['end', 'error', 'close'] as const;
  for (const event of ends) stream.on(event, onEnd);
  stream.on('data', onData);
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  if (stream.destroyed) onEnd();
  if (head !== undefined && head.length > 0) onData(head);
  try {
    return await done.promise;
  } finally {
    timer.cancel();
    signal?.removeEventListener('abort', onAbort);
    stream.off('data', onData);
    for (const event of ends) stream.off(event, onEnd);
  }
}

/** Takes the server's bytes until the handshake is over. */
function createHearing(
  { stream, privateKey, channelBinding, random }: ShakeHandsOptions,
  finish: (hands: ShakenHands) => void,
): (chunk: Uint8Array) => void {
  const info = { canAnswerPings: true, channelBinding };
  const handshake = new ClientHandshake({ privateKey, info, nonce: random(BOX_NONCE_BYTES) });
  const reader = new FrameReader(MAX_HANDSHAKE_PAYLOAD_BYTES);
  return (chunk) => {
    reader.push(chunk);
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      const effect = handshake.receive(frame);
      switch (effect.kind) {
        case 'send':
          stream.write(effect.bytes);
          break;
        case 'refused':
          throw new DerpConnectionError('refused', `The relay refuses: ${effect.problem}`);
        case 'ready':
          stream.pause();
          finish({ serverInfo: effect.serverInfo, reader });
          return;
      }
    }
  };
}
