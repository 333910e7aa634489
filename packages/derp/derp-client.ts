import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '@nexodus/clock';
import type { WireGuardPrivateKey, WireGuardPublicKey } from '@nexodus/wireguard';
import { DerpConnectionError } from './derp-connection-error.ts';
import {
  encodeNotePreferred,
  encodePing,
  writeSendPacket,
  type PeerGoneReason,
} from './encode-frame.ts';
import type { FrameReader } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';
import type { ServerInfo } from './info.ts';
import { decodeServerMessage, type ServerMessage } from './messages.ts';
import { PeerKeys } from './peer-keys.ts';
import { shakeHands } from './shake-hands.ts';
import {
  MAX_PACKET_BYTES,
  MAX_PAYLOAD_BYTES,
  PACKET_OVERHEAD_BYTES,
  PING_BYTES,
} from './wire-format.ts';

/** Frames are put together in pieces of this size. */
const BATCH_BYTES = 65_536;

/** What a client does with what it hears. None of these may throw. */
export interface DerpClientHandlers {
  /** A packet arrived. The key is the same object for the same source; the packet may be kept. */
  readonly onPacket: (source: WireGuardPublicKey, packet: Uint8Array) => void;
  /** A peer that sent or was sent to cannot be reached here. */
  readonly onPeerGone?: (peer: WireGuardPublicKey, reason: PeerGoneReason) => void;
  /** The server says what is wrong with the connection; empty where nothing is any more. */
  readonly onHealth?: (problem: string) => void;
  /** The server will close: connect again after the first, and try for the second. */
  readonly onRestarting?: (advice: { reconnectInMs: number; tryForMs: number }) => void;
}

/** What a client is made of. */
export interface DerpClientOptions extends DerpClientHandlers {
  /** A stream that has been upgraded; the client owns it from here on and destroys it. */
  readonly stream: Duplex;
  /** Bytes of DERP that came with the answer to the upgrade. */
  readonly head?: Uint8Array;
  readonly privateKey: WireGuardPrivateKey;
  /** What names the channel under the stream; the server then refuses a box that another has passed on. */
  readonly channelBinding?: Uint8Array;
  readonly clock: Clock;
  /** Source of unpredictable bytes. */
  readonly random: (size: number) => Uint8Array;
  /** The handshake may take so long. Default 10,000. */
  readonly handshakeTimeoutMs?: number;
  /** Nothing heard for so long is the end: servers speak every 60 s at least. Default 120,000. */
  readonly silenceTimeoutMs?: number;
  /** Packets that wait for a slow line, in bytes; beyond that the oldest are dropped. Default 1 MiB. */
  readonly queueBytes?: number;
  /** Gives the handshake up. Without effect afterwards. */
  readonly signal?: AbortSignal;
}

/** A connection to a relay, over which sealed datagrams go to and come from peers by their WireGuard keys. */
export interface DerpClient {
  readonly serverInfo: ServerInfo;
  /** Resolves with why when the connection has ended; undefined after `close`. */
  readonly closed: Promise<Error | undefined>;
  /** Packets that were dropped because the line was too slow. */
  readonly droppedPackets: number;
  /**
   * Sends a datagram, at most once and without a word on whether it arrived; copies it. False where it is longer than
   * 65,536 bytes or the connection has ended.
   */
  send(destination: WireGuardPublicKey, packet: Uint8Array): boolean;
  /** Round trip to the server in milliseconds. Rejects with DerpConnectionError when the connection ends before. */
  ping(): Promise<number>;
  /** Tells the server whether it is this device's home. */
  notePreferred(isPreferred: boolean): void;
  /** Ends the connection. */
  close(): void;
}

/**
 * Shakes hands over an upgraded stream.
 *
 * @throws {DerpConnectionError} `refused` with the server's words, `closed`, `timeout`, `aborted`
 * @throws {DerpFormatError} where the server does not speak the protocol
 */
export async function openDerpClient(options: DerpClientOptions): Promise<DerpClient> {
  const { stream } = options;
  try {
    const { serverInfo, reader } = await shakeHands(options);
    return new OpenDerpClient(options, { serverInfo, reader });
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

class OpenDerpClient implements DerpClient {
  readonly serverInfo: ServerInfo;
  readonly closed: Promise<Error | undefined>;
  droppedPackets = 0;
  readonly #options: DerpClientOptions;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  readonly #keys = new PeerKeys();
  readonly #pings = new Map<string, { sentAt: number; answered: PromiseWithResolvers<number> }>();
  readonly #end: (why: Error | undefined) => void;
  #batch = new Uint8Array(0);
  #batchBytes = 0;
  #isOpen = true;
  #heardAt: number;
  #silenceTimer: Timer;

  constructor(
    options: DerpClientOptions,
    { serverInfo, reader }: { serverInfo: ServerInfo; reader: FrameReader },
  ) {
    const { stream, clock, queueBytes = 1_048_576 } = options;
    this.#options = options;
    this.serverInfo = serverInfo;
    this.#reader = reader;
    reader.maxPayloadBytes = MAX_PAYLOAD_BYTES;
    this.#writer = new FrameWriter({ sink: stream, queueBytes });
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    this.closed = promise;
    this.#end = resolve;
    this.#heardAt = clock.monotonicMs();
    this.#silenceTimer = this.#watchSilence();
    stream.on('data', (chunk: Uint8Array) => this.#hear(chunk));
    stream.on('end', () => this.#fail(closedByServer()));
    stream.on('error', (cause) => this.#fail(closedByServer({ cause })));
    stream.on('close', () => this.#fail(closedByServer()));
    // What came together with the end of the handshake is heard after the caller has the client.
    setImmediate(() => {
      this.#read();
      stream.resume();
    });
  }

  send(destination: WireGuardPublicKey, packet: Uint8Array): boolean {
    if (!this.#isOpen || packet.length > MAX_PACKET_BYTES) return false;
    const frameBytes = PACKET_OVERHEAD_BYTES + packet.length;
    if (this.#batchBytes + frameBytes > this.#batch.length) {
      this.#batch = new Uint8Array(Math.max(BATCH_BYTES, frameBytes));
      this.#batchBytes = 0;
    }
    const start = this.#batchBytes;
    const end = writeSendPacket(this.#batch, start, { destination, bytes: packet });
    this.#batchBytes = end;
    this.droppedPackets += this.#writer.sendPackets({ bytes: this.#batch, start, end });
    return true;
  }

  ping(): Promise<number> {
    const { clock, random } = this.#options;
    if (!this.#isOpen) return Promise.reject(closedByServer());
    const data = random(PING_BYTES);
    const answered = Promise.withResolvers<number>();
    this.#pings.set(pingText(data), { sentAt: clock.monotonicMs(), answered });
    this.#writer.sendControl(encodePing('ping', data));
    return answered.promise;
  }

  notePreferred(isPreferred: boolean): void {
    this.#writer.sendControl(encodeNotePreferred(isPreferred));
  }

  close(): void {
    this.#fail(undefined);
  }

  #hear(chunk: Uint8Array): void {
    if (!this.#isOpen) return;
    this.#heardAt = this.#options.clock.monotonicMs();
    this.#reader.push(chunk);
    this.#read();
  }

  #read(): void {
    try {
      while (this.#isOpen) {
        const frame = this.#reader.next();
        if (frame === undefined) return;
        this.#receive(decodeServerMessage(frame));
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #receive(message: ServerMessage): void {
    const { onPacket, onPeerGone, onHealth, onRestarting } = this.#options;
    switch (message.kind) {
      case 'packet': {
        const source = this.#keys.parse(message.source);
        if (source !== undefined) onPacket(source, message.packet);
        return;
      }
      case 'ping':
        this.#writer.sendControl(encodePing('pong', message.data));
        return;
      case 'pong':
        this.#answerPing(message.data);
        return;
      case 'peer-gone': {
        const peer = this.#keys.parse(message.peer);
        if (peer !== undefined) onPeerGone?.(peer, message.reason);
        return;
      }
      case 'health':
        onHealth?.(message.problem);
        return;
      case 'restarting': {
        const { reconnectInMs, tryForMs } = message;
        onRestarting?.({ reconnectInMs, tryForMs });
        return;
      }
      case 'keep-alive':
      case 'unknown':
    }
  }

  #answerPing(data: Uint8Array): void {
    const text = pingText(data);
    const ping = this.#pings.get(text);
    if (ping === undefined) return;
    this.#pings.delete(text);
    ping.answered.resolve(this.#options.clock.monotonicMs() - ping.sentAt);
  }

  #watchSilence(): Timer {
    const { clock, silenceTimeoutMs = 120_000 } = this.#options;
    const leftMs = this.#heardAt + silenceTimeoutMs - clock.monotonicMs();
    return clock.setTimer(Math.max(0, leftMs), () => {
      if (clock.monotonicMs() - this.#heardAt < silenceTimeoutMs) {
        this.#silenceTimer = this.#watchSilence();
        return;
      }
      this.#fail(new DerpConnectionError('silent', 'The server has been silent for too long.'));
    });
  }

  /** Ends the connection, once. */
  #fail(why: Error | undefined): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#silenceTimer.cancel();
    this.#writer.close();
    this.#options.stream.destroy();
    for (const { answered } of this.#pings.values()) answered.reject(why ?? closedByServer());
    this.#pings.clear();
    this.#end(why);
  }
}

function closedByServer(options?: ErrorOptions): DerpConnectionError {
  return new DerpConnectionError('closed', 'The connection has ended.', options);
}

function pingText(data: Uint8Array): string {
  return Buffer.from(data).toString('latin1');
}
