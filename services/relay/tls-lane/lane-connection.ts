import { randomBytes } from 'node:crypto';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '@nexodus/clock';
import {
  BOX_NONCE_BYTES,
  DerpFormatError,
  FrameReader,
  KEY_BYTES,
  FRAME_HEADER_BYTES,
  MAX_HANDSHAKE_PAYLOAD_BYTES,
  MAX_PAYLOAD_BYTES,
  decodeClientMessage,
  encodeHealth,
  encodeKeepAlive,
  encodePing,
  frameType,
  keyTextAt,
  type Frame,
  type ProvenClient,
  type ServerHandshake,
} from '@nexodus/derp';
import { FrameWriter } from '@nexodus/derp/connection';
import type { WireGuardPublicKey } from '@nexodus/wireguard';
import { PacketRuns, type PacketRun } from './core/packet-runs.ts';
import type { TlsLaneLimits } from './tls-lane-limits.ts';
import type { DepartureReason, RefusalReason } from './tls-lane-metrics.ts';

/** TCP asks after so long whether the other end of an idle connection is there. */
const TCP_KEEP_ALIVE_MS = 15_000;

/**
 * Taken from one client before others have their turn, in bytes. Without it, what has piled up in the kernel comes at once:
 * others wait, and the queue of a destination overflows before it could write anything.
 */
const TURN_BYTES = 131_072;

/** What a connection asks of its lane. */
export interface ConnectionHost {
  readonly clock: Clock;
  readonly limits: TlsLaneLimits;
  /** A number from 0 up to 1, for jitter. */
  readonly random: () => number;
  /** Whether a device with this key may connect. */
  readonly admit: (publicKey: WireGuardPublicKey) => Promise<boolean>;
  /** The client is admitted: from here on it may be found by its key. */
  readonly opened: (client: LaneClient) => void;
  /** A run of packets of the client. */
  readonly forward: (from: LaneClient, run: PacketRun) => void;
  /** The connection has ended before it was admitted; once. */
  readonly refused: (connection: LaneConnection, reason: RefusalReason, cause?: unknown) => void;
  /** The connection of an admitted client has ended; once. */
  readonly departed: (client: LaneClient, reason: DepartureReason, cause?: unknown) => void;
}

/** A client that has been admitted. */
export interface LaneClient {
  readonly connection: LaneConnection;
  readonly publicKey: WireGuardPublicKey;
  /** The key, as `keyTextAt` gives it. */
  readonly keyText: string;
  /** Sends towards the client. */
  readonly writer: FrameWriter;
  /** Whether the client says that this relay is its home. */
  isPreferred: boolean;
  /** Who has got packets of this client over this relay: they are told when it goes. By their key's text. */
  readonly sentTo: Map<string, LaneClient>;
  /** Instant on the monotonic clock before which it is not told again that somebody is not here. */
  tellNotHereAt: number;
}

type State =
  | { readonly name: 'proving'; readonly handshake: ServerHandshake }
  | { readonly name: 'admitting'; readonly publicKey: WireGuardPublicKey }
  | {
      readonly name: 'open';
      readonly client: LaneClient;
      readonly runs: PacketRuns;
      readonly canAnswerPings: boolean;
    }
  | { readonly name: 'closed' };

/**
 * One connection of a device, from the greeting to its end.
 *
 *     proving ---box opens---> admitting ---admitted---> open
 *     any state ---> closed
 *
 * Nothing is forwarded to or from it before it is open, and nothing after it is closed.
 */
export class LaneConnection {
  readonly #socket: Duplex;
  readonly #host: ConnectionHost;
  readonly #writer: FrameWriter;
  readonly #reader = new FrameReader(MAX_HANDSHAKE_PAYLOAD_BYTES);
  #state: State;
  #timer: Timer;
  #heardAt: number;
  #turnBytes = 0;

  /** The greeting must have been written to the socket already. */
  constructor(socket: Duplex, handshake: ServerHandshake, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    this.#state = { name: 'proving', handshake };
    this.#writer = new FrameWriter({ sink: socket, queueBytes: host.limits.queueBytes });
    this.#heardAt = host.clock.monotonicMs();
    this.#timer = host.clock.setTimer(host.limits.handshakeMs, () => this.#refuse('timeout'));
    if (socket instanceof Socket) {
      socket.setTimeout(0);
      socket.setNoDelay(true);
      socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    }
    socket.on('data', (chunk: Uint8Array) => this.receive(chunk));
    for (const event of ['end', 'error', 'close']) socket.on(event, () => this.#lost());
  }

  /** The key of the client, once it is proven. */
  get publicKey(): WireGuardPublicKey | undefined {
    switch (this.#state.name) {
      case 'admitting':
        return this.#state.publicKey;
      case 'open':
        return this.#state.client.publicKey;
      case 'proving':
      case 'closed':
        return undefined;
    }
  }

  /** Takes bytes that the client sent. */
  receive(chunk: Uint8Array): void {
    if (this.#state.name === 'closed') return;
    this.#heardAt = this.#host.clock.monotonicMs();
    this.#limitTurn(chunk.length);
    this.#reader.push(chunk);
    this.#read();
  }

  /** Ends the connection of an admitted client and tells it why, in words that it may show. */
  dismiss(reason: DepartureReason, problem?: string): void {
    const state = this.#state;
    if (state.name !== 'open') return;
    this.#close(problem);
    this.#host.departed(state.client, reason);
  }

  /** Ends a connection that is not admitted yet. */
  refuse(reason: RefusalReason): void {
    if (this.#state.name === 'open') return;
    this.#refuse(reason);
  }

  #limitTurn(bytes: number): void {
    if (this.#turnBytes === 0) setImmediate(() => this.#endTurn());
    this.#turnBytes += bytes;
    if (this.#turnBytes >= TURN_BYTES) this.#socket.pause();
  }

  #endTurn(): void {
    const isPaused = this.#turnBytes >= TURN_BYTES;
    this.#turnBytes = 0;
    if (isPaused && this.#state.name === 'open') this.#socket.resume();
  }

  #read(): void {
    try {
      while (this.#state.name === 'proving' || this.#state.name === 'open') {
        const frame = this.#reader.next();
        if (frame === undefined) break;
        if (this.#state.name === 'proving') this.#prove(this.#state.handshake, frame);
        else this.#take(frame);
      }
      if (this.#state.name === 'open') this.#forward(this.#state.runs.finish());
    } catch (error) {
      this.#fail(error);
    }
  }

  #prove(handshake: ServerHandshake, frame: Frame): void {
    const proven = handshake.prove(frame);
    this.#state = { name: 'admitting', publicKey: proven.publicKey };
    // What the client sends on meanwhile stays where it is until somebody may read it.
    this.#socket.pause();
    this.#host.admit(proven.publicKey).then(
      (isAdmitted) => (isAdmitted ? this.#open(proven) : this.#refuse('not-admitted')),
      (error: unknown) => this.#refuse('failed', error),
    );
  }

  #open({ publicKey, info, welcome }: ProvenClient): void {
    if (this.#state.name !== 'admitting') return;
    const client: LaneClient = {
      connection: this,
      publicKey,
      keyText: keyTextAt(publicKey, 0),
      writer: this.#writer,
      isPreferred: false,
      sentTo: new Map(),
      tellNotHereAt: -Infinity,
    };
    const runs = new PacketRuns(publicKey);
    this.#state = { name: 'open', client, runs, canAnswerPings: info.canAnswerPings };
    this.#reader.maxPayloadBytes = MAX_PAYLOAD_BYTES;
    this.#writer.sendControl(welcome({}, randomBytes(BOX_NONCE_BYTES)));
    this.#keepAlive();
    this.#host.opened(client);
    this.#socket.resume();
    this.#read();
  }

  #take(frame: Frame): void {
    if (this.#state.name !== 'open') return;
    const { client, runs } = this.#state;
    const { type, start, end } = frame;
    if (type === frameType.sendPacket && end - start >= FRAME_HEADER_BYTES + KEY_BYTES) {
      this.#forward(runs.add(frame));
      return;
    }
    const message = decodeClientMessage(frame);
    switch (message.kind) {
      case 'ping':
        this.#writer.sendControl(encodePing('pong', message.data));
        return;
      case 'note-preferred':
        client.isPreferred = message.isPreferred;
        return;
      case 'forbidden':
        throw new DerpFormatError('order', 'The client is no server.');
      case 'send-packet':
      case 'pong':
      case 'unknown':
    }
  }

  #forward(run: PacketRun | undefined): void {
    if (run === undefined || this.#state.name !== 'open') return;
    this.#host.forward(this.#state.client, run);
  }

  /** Sends a sign of life, and looks for one, until the connection ends. */
  #keepAlive(): void {
    const { clock, limits, random } = this.#host;
    const { waitingBytes, writtenBytes } = this.#writer;
    this.#timer.cancel();
    this.#timer = clock.setTimer(limits.keepAliveMs * (0.9 + 0.2 * random()), () => {
      if (this.#state.name !== 'open') return;
      const { canAnswerPings } = this.#state;
      const hasMoved = this.#writer.writtenBytes !== writtenBytes;
      const silentMs = clock.monotonicMs() - this.#heardAt;
      if (waitingBytes > 0 && !hasMoved) this.dismiss('stalled');
      else if (canAnswerPings && silentMs > 2.5 * limits.keepAliveMs) this.dismiss('silent');
      else {
        const sign = canAnswerPings ? encodePing('ping', randomBytes(8)) : encodeKeepAlive();
        this.#writer.sendControl(sign);
        this.#keepAlive();
      }
    });
  }

  #lost(): void {
    if (this.#state.name === 'open') this.dismiss('left');
    else this.#refuse('left');
  }

  #fail(error: unknown): void {
    const isOfClient = error instanceof DerpFormatError;
    const state = this.#state;
    if (state.name !== 'open') {
      this.#refuse(isOfClient ? 'handshake' : 'failed', error);
      return;
    }
    this.#close(isOfClient ? error.message : undefined);
    this.#host.departed(state.client, isOfClient ? 'protocol' : 'fault', error);
  }

  #refuse(reason: RefusalReason, cause?: unknown): void {
    if (this.#state.name === 'closed') return;
    this.#close(reason === 'not-admitted' ? 'no device with this key may connect' : undefined);
    this.#host.refused(this, reason, cause);
  }

  #close(problem: string | undefined): void {
    const { clock, limits } = this.#host;
    this.#state = { name: 'closed' };
    this.#timer.cancel();
    if (problem === undefined || this.#socket.destroyed) {
      this.#writer.close();
      this.#socket.destroy();
      return;
    }
    this.#writer.sendControl(encodeHealth(problem));
    this.#writer.close();
    this.#socket.end();
    const cut = clock.setTimer(limits.farewellMs, () => this.#socket.destroy());
    this.#socket.once('close', () => cut.cancel());
    this.#socket.resume();
  }
}
