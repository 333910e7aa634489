import { randomBytes } from 'node:crypto';
import type { Clock, Timer } from '@nexodus/clock';
import {
  channelBindingOf,
  type DerpClient,
  openDerpClient,
  requestDerpUpgrade,
} from '@nexodus/derp/connection';
import type { Logger } from '@nexodus/telemetry';
import type { WireGuardPrivateKey, WireGuardPublicKey } from '@nexodus/wireguard';
import { connectTls } from '../service-access/connect-tls.ts';
import { reconnectPauseMs } from '../session/core/session-timing.ts';
import type { KnownRelay } from './core/relay-directory.ts';
import type { RelayAccess } from './relay-attachment.ts';

/** What a line needs. */
export interface DerpLineOptions {
  readonly relay: KnownRelay;
  readonly access: RelayAccess;
  readonly privateKey: WireGuardPrivateKey;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** A packet of a peer; the key is the same object for the same peer. */
  readonly onPacket: (source: WireGuardPublicKey, packet: Uint8Array) => void;
  /** Open, or not any more. */
  readonly onState: () => void;
}

/** The TLS lane of one relay: one connection for all peers, opened again when it breaks. */
export interface DerpLine {
  readonly isOpen: boolean;
  /** Sends to a peer, at most once; false when the line is not open. */
  send(destination: WireGuardPublicKey, packet: Uint8Array): boolean;
  /** Idempotent. */
  close(): void;
}

/** Opens the line; the device must be attached to the relay. */
export function openDerpLine(options: DerpLineOptions): DerpLine {
  return new Line(options);
}

class Line implements DerpLine {
  readonly #options: DerpLineOptions;
  readonly #abort = new AbortController();
  #client: DerpClient | undefined;
  #timer: Timer | undefined;
  #attempts = 0;

  constructor(options: DerpLineOptions) {
    this.#options = options;
    void this.#run();
  }

  get isOpen(): boolean {
    return this.#client !== undefined;
  }

  send(destination: WireGuardPublicKey, packet: Uint8Array): boolean {
    return this.#client?.send(destination, packet) ?? false;
  }

  close(): void {
    this.#abort.abort();
    this.#timer?.cancel();
    this.#client?.close();
  }

  async #run(): Promise<void> {
    const { logger, onState, relay } = this.#options;
    try {
      const client = await this.#connect();
      if (this.#abort.signal.aborted) {
        client.close();
        return;
      }
      this.#client = client;
      this.#attempts = 0;
      onState();
      const why = await client.closed;
      logger.debug({ error: why, relayId: relay.relayId }, 'a TLS lane ended');
    } catch (error) {
      logger.debug({ error, relayId: relay.relayId }, 'a TLS lane did not open');
    }
    const wasOpen = this.#client !== undefined;
    this.#client = undefined;
    if (this.#abort.signal.aborted) return;
    this.#setTimer();
    if (wasOpen) onState();
  }

  #setTimer(): void {
    const { clock, random } = this.#options;
    const pauseMs = reconnectPauseMs(this.#attempts, random());
    this.#attempts += 1;
    this.#timer = clock.setTimer(pauseMs, () => void this.#run());
  }

  async #connect(): Promise<DerpClient> {
    const { access, clock, onPacket, privateKey, relay } = this.#options;
    const belief = { caPem: access.caPem };
    const stream = await connectTls(relay, access.proxies, belief, 'http/1.1');
    stream.setNoDelay(true);
    const { signal } = this.#abort;
    const head = await requestDerpUpgrade(stream, { host: relay.host, signal });
    return openDerpClient({
      stream,
      head,
      privateKey,
      channelBinding: channelBindingOf(stream),
      clock,
      random: randomBytes,
      onPacket,
      signal,
    });
  }
}
