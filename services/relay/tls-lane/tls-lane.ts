import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '@nexodus/clock';
import {
  ServerHandshake,
  encodePeerGone,
  encodeRestarting,
  keyTextAt,
  type FrameRun,
} from '@nexodus/derp';
import { channelBindingOf } from '@nexodus/derp/connection';
import type { Logger } from '@nexodus/telemetry';
import {
  X25519PrivateKey,
  wireGuardPublicKeyFromBytes,
  x25519PublicKeysEqual,
  type WireGuardPublicKey,
} from '@nexodus/wireguard';
import { ConnectionShares } from '../core/connection-shares.ts';
import { packetBytes, type PacketRun } from './core/packet-runs.ts';
import { LaneConnection, type ConnectionHost, type LaneClient } from './lane-connection.ts';
import type { TlsLaneLimits } from './tls-lane-limits.ts';
import type { RefusalReason, TlsLaneCounts, TlsLaneMetrics } from './tls-lane-metrics.ts';
import {
  isDerpUpgrade,
  serviceUnavailable,
  switchingProtocols,
  upgradeRequired,
} from './upgrade-answer.ts';

/** A client hears at most so often that somebody it sends to is not here. */
const NOT_HERE_INTERVAL_MS = 200;

/** Whether bytes may pass. `refused`: the pair has no session; `limit`: it sends more than its rate lets through. */
export type CarryVerdict = 'carried' | 'refused' | 'limit';

/** What the TLS lane is made of. */
export interface TlsLaneOptions {
  /**
   * Whether an enrolled device has this key and may use the relay; asked once the key is proven. A rejection counts as
   * no. It may be asked for the same key several times at once.
   */
  readonly admits: (publicKey: WireGuardPublicKey) => boolean | Promise<boolean>;
  /** Whether there is a session that lets the first send to the second; it must not throw. */
  readonly mayForward: (from: WireGuardPublicKey, to: WireGuardPublicKey) => boolean;
  /**
   * Asked for every run of packets of the first to the second, whose bytes it counts, so that its answer holds from one
   * run to the next; it must not throw.
   */
  readonly carry: (from: WireGuardPublicKey, to: WireGuardPublicKey, bytes: number) => CarryVerdict;
  readonly clock: Clock;
  /** A number from 0 up to 1, such as `Math.random`, for jitter. */
  readonly random: () => number;
  readonly limits: TlsLaneLimits;
  readonly metrics: TlsLaneMetrics;
  readonly logger: Logger;
}

/** How a relay takes leave of its clients. */
export interface DrainOptions {
  /** Clients are asked to connect elsewhere within this time, spread evenly. */
  readonly spreadMs: number;
  /** How long they shall try. */
  readonly tryForMs: number;
  /** Those that are still there after this are cut. */
  readonly graceMs: number;
}

/** What the TLS lane is doing. */
export interface TlsLaneStatistics extends TlsLaneCounts {
  /** Clients that are connected. */
  readonly clients: number;
  /** Those of them whose home this relay is. */
  readonly preferred: number;
  /** Connections that have not been admitted yet. */
  readonly handshakes: number;
}

/** Carries sealed datagrams between devices that reach nothing but HTTPS, without being able to read them. */
export interface TlsLane {
  /** Takes over a connection that asks for another protocol. It never throws. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): void;
  /** Cuts a device off at once, in both directions; whether it was there. It may come back where `admits` lets it. */
  disconnect(key: WireGuardPublicKey): boolean;
  /**
   * Takes no new connections, asks the clients to go elsewhere and forwards for them meanwhile. Resolves when all are
   * gone, at the latest after `graceMs`; with 0 all are cut at once.
   */
  drain(options: DrainOptions): Promise<void>;
  /** What the lane is doing and has done. */
  statistics(): TlsLaneStatistics;
}

/** Builds the TLS lane. It listens on nothing: its owner hands it the connections. */
export function createTlsLane(options: TlsLaneOptions): TlsLane {
  return new DerpTlsLane(options);
}

class DerpTlsLane implements TlsLane {
  readonly #options: TlsLaneOptions;
  readonly #host: ConnectionHost;
  /** With the addresses that they come from; empty where that is not known. */
  readonly #handshakes = new Map<LaneConnection, string>();
  readonly #shares: ConnectionShares;
  readonly #clients = new Map<string, LaneClient>();
  #drained: PromiseWithResolvers<void> | undefined;

  constructor(options: TlsLaneOptions) {
    this.#options = options;
    const { clock, limits, random, admits, metrics, logger } = options;
    this.#shares = new ConnectionShares(limits.handshakesPerSource);
    this.#host = {
      clock,
      limits,
      random,
      admit: async (publicKey) => admits(publicKey),
      opened: (client) => this.#enter(client),
      forward: (from, run) => this.#forward(from, run),
      refused: (connection, reason, cause) => {
        this.#endHandshake(connection);
        metrics.refused(reason);
        if (reason === 'failed') logger.warn({ error: cause }, 'admission could not be decided');
        this.#noticeEmpty();
      },
      departed: (client, reason, cause) => {
        metrics.departed(reason);
        if (reason === 'fault') logger.error({ error: cause }, 'a connection failed');
        this.#leave(client);
      },
    };
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    // The connection's own handlers come later, or never.
    socket.on('error', () => socket.destroy());
    if (socket.destroyed) return;
    const { remoteAddress: address = '' } = request.socket;
    const refusal = this.#refusal(request, address);
    if (refusal !== undefined) {
      this.#options.metrics.refused(refusal);
      socket.end(refusal === 'request' ? upgradeRequired() : serviceUnavailable());
      return;
    }
    const serverKey = X25519PrivateKey.generate('derp');
    const channelBinding = channelBindingOf(socket);
    const handshake = new ServerHandshake({ serverKey, channelBinding });
    const answer = Buffer.from(switchingProtocols(serverKey.publicKey));
    socket.write(Buffer.concat([answer, handshake.greeting]));
    const connection = new LaneConnection(socket, handshake, this.#host);
    this.#handshakes.set(connection, address);
    if (head.length > 0) connection.receive(head);
  }

  disconnect(key: WireGuardPublicKey): boolean {
    for (const connection of this.#handshakes.keys()) {
      const { publicKey } = connection;
      if (publicKey !== undefined && x25519PublicKeysEqual(publicKey, key)) {
        connection.refuse('not-admitted');
      }
    }
    const client = this.#clients.get(keyTextAt(key, 0));
    client?.connection.dismiss('disconnected', 'the device may not use this relay any more');
    return client !== undefined;
  }

  async drain({ spreadMs, tryForMs, graceMs }: DrainOptions): Promise<void> {
    const { clock, random } = this.#options;
    this.#drained ??= Promise.withResolvers<void>();
    for (const client of this.#clients.values()) {
      const reconnectInMs = Math.round(random() * spreadMs);
      client.writer.sendControl(encodeRestarting({ reconnectInMs, tryForMs }));
    }
    const cut = clock.setTimer(graceMs, () => this.#cutAll());
    if (graceMs === 0) this.#cutAll();
    this.#noticeEmpty();
    await this.#drained.promise;
    cut.cancel();
  }

  statistics(): TlsLaneStatistics {
    const clients = [...this.#clients.values()];
    return {
      ...this.#options.metrics.counts,
      clients: clients.length,
      preferred: clients.filter(({ isPreferred }) => isPreferred).length,
      handshakes: this.#handshakes.size,
    };
  }

  /** Why a connection is not taken; it has its share of the source's handshakes where it is. */
  #refusal(request: IncomingMessage, address: string): RefusalReason | undefined {
    const { limits } = this.#options;
    if (!isDerpUpgrade(request)) return 'request';
    if (this.#drained !== undefined) return 'draining';
    const connections = this.#clients.size + this.#handshakes.size;
    const isFull = connections >= limits.connections || this.#handshakes.size >= limits.handshakes;
    return isFull || (address !== '' && !this.#shares.enter(address)) ? 'full' : undefined;
  }

  #endHandshake(connection: LaneConnection): void {
    const address = this.#handshakes.get(connection) ?? '';
    if (this.#handshakes.delete(connection) && address !== '') this.#shares.leave(address);
  }

  /** Only a client whose box has opened comes here, so that nobody can push another device out. */
  #enter(client: LaneClient): void {
    this.#endHandshake(client.connection);
    this.#options.metrics.admitted();
    const former = this.#clients.get(client.keyText);
    this.#clients.set(client.keyText, client);
    if (former === undefined) return;
    // Those it sent to over the former connection still get word when the device goes.
    for (const [keyText, peer] of former.sentTo) client.sentTo.set(keyText, peer);
    former.connection.dismiss('replaced', 'the device has connected again');
  }

  #leave(client: LaneClient): void {
    if (this.#clients.get(client.keyText) !== client) return;
    this.#clients.delete(client.keyText);
    const gone = encodePeerGone(client.publicKey, 'disconnected');
    for (const [keyText, peer] of client.sentTo) {
      if (this.#clients.get(keyText) === peer) peer.writer.sendControl(gone);
      if (peer.sentTo.get(client.keyText) === client) peer.sentTo.delete(client.keyText);
    }
    client.sentTo.clear();
    this.#noticeEmpty();
  }

  #cutAll(): void {
    for (const connection of this.#handshakes.keys()) connection.refuse('draining');
    for (const { connection } of this.#clients.values()) connection.dismiss('drained');
  }

  #noticeEmpty(): void {
    if (this.#clients.size === 0 && this.#handshakes.size === 0) this.#drained?.resolve();
  }

  #forward(from: LaneClient, run: PacketRun): void {
    const { carry, metrics } = this.#options;
    const to = this.#clients.get(run.destination);
    if (to === undefined) {
      metrics.packets('not-here', run.packets);
      this.#tellNotHere(from, run);
      return;
    }
    const bytes = packetBytes(run);
    const verdict = carry(from.publicKey, to.publicKey, bytes);
    if (verdict !== 'carried') {
      metrics.packets(verdict, run.packets);
      return;
    }
    metrics.packets('forwarded', run.packets, bytes);
    from.sentTo.set(to.keyText, to);
    const dropped = to.writer.sendPackets(to.writer.isFull ? compacted(run) : run);
    if (dropped > 0) metrics.packets('dropped', dropped);
  }

  /** Only where the pair may talk: others must not learn who is connected. */
  #tellNotHere(from: LaneClient, run: PacketRun): void {
    const { clock, mayForward } = this.#options;
    const now = clock.monotonicMs();
    if (now < from.tellNotHereAt) return;
    from.tellNotHereAt = now + NOT_HERE_INTERVAL_MS;
    const destination = destinationOf(run);
    if (destination === undefined || !mayForward(from.publicKey, destination)) return;
    from.writer.sendControl(encodePeerGone(destination, 'not-here'));
  }
}

function destinationOf({ destination }: PacketRun): WireGuardPublicKey | undefined {
  try {
    return wireGuardPublicKeyFromBytes(Buffer.from(destination, 'latin1'));
  } catch {
    return undefined;
  }
}

/** A run that has to wait keeps the whole piece of memory that it arrived in, unless it is moved. */
function compacted({ bytes, start, end }: PacketRun): FrameRun {
  const length = end - start;
  if (length * 2 > bytes.buffer.byteLength) return { bytes, start, end };
  return { bytes: new Uint8Array(bytes.subarray(start, end)), start: 0, end: length };
}
