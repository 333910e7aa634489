import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import type { PeerCertificate } from 'node:tls';

import type { Clock } from '@nexodus/clock';
import {
  connect,
  credsAuthenticator,
  nkeyAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';
import type { Authenticator, NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node';

import type { BusStatus } from './message-bus.ts';
import { StatusSource } from './status-source.ts';

/** Who this process is to NATS. Files are read at every connection, so that they may be replaced meanwhile. */
export type NatsCredentials =
  | { readonly kind: 'creds'; readonly file: string }
  | { readonly kind: 'nkey'; readonly seedFile: string }
  | { readonly kind: 'password'; readonly user: string; readonly passwordFile: string };

/** How NATS is reached. */
export interface NatsOptions {
  /** Such as `nats://10.0.0.1:4222`, one or more of a cluster. */
  readonly servers: readonly string[];
  /** Shown in the server's monitoring. */
  readonly name: string;
  readonly clock: Clock;
  /** Uniform in [0, 1), for the waits between attempts. */
  readonly random: () => number;
  /** When set, a server without TLS is refused. PEM files. */
  readonly tls?: {
    readonly caFile?: string;
    readonly certFile?: string;
    readonly keyFile?: string;
  };
  readonly credentials?: NatsCredentials;
  /** Takes why an attempt to connect failed, and errors the server reports. */
  readonly onError?: (error: unknown) => void;
}

/**
 * A connection to NATS that is made and remade in the background, for the buses and stores of one process. It never
 * fails; it is connected or not.
 */
export interface NatsLink {
  readonly status: BusStatus;
  /** Calls `listener`, which must not throw, at every change of status, until the returned function is called. */
  onStatus(listener: (status: BusStatus) => void): () => void;
  /** Waits for what was sent and closes. What uses the link is closed first. Idempotent. */
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;

/** A server that has fallen silent is noticed after two of these. */
const PING_INTERVAL_MS = 10_000;
const MAX_PINGS_OUT = 2;

/** Bounds of the wait between attempts; drawn anew each time so that replicas do not come back at once. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;

/** What draining may take before the connection is cut. */
const DRAIN_TIMEOUT_MS = 5_000;

/** Starts connecting to NATS and returns at once. */
export function openNats(options: NatsOptions): NatsLink {
  return new NatsSession(options);
}

/** The link as the adapters of this package see it. */
export class NatsSession implements NatsLink {
  readonly #options: NatsOptions;
  readonly #status = new StatusSource('connecting');
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #connection: NatsConnection | undefined;

  constructor(options: NatsOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  get status(): BusStatus {
    return this.#status.current;
  }

  /** The connection while it is up. */
  get connected(): NatsConnection | undefined {
    return this.status === 'connected' ? this.#connection : undefined;
  }

  /** The connection, up or being remade by the client; another object after it was closed for good. */
  get connection(): NatsConnection | undefined {
    return this.#connection;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get random(): () => number {
    return this.#options.random;
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    return this.#status.listen(listener);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    const connection = this.#connection;
    if (connection !== undefined && this.status === 'connected') {
      await within(this.clock, DRAIN_TIMEOUT_MS, connection.drain().catch(this.#report));
    }
    await connection?.close();
    await this.#running;
    this.#status.set('closed');
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const connection = await connect(this.#connectOptions()).catch(this.#report);
      if (connection === undefined) await this.clock.wait(this.#retryDelayMs(), this.#stop.signal);
      else await this.#serve(connection);
    }
  }

  /** Follows one connection, which the client remakes by itself, until it is closed for good. */
  async #serve(connection: NatsConnection): Promise<void> {
    if (this.#stop.signal.aborted) return connection.close();
    this.#connection = connection;
    void this.#followStatus(connection).catch(this.#report);
    this.#status.set('connected');
    const error = await connection.closed();
    if (error !== undefined) this.#report(error);
    this.#status.set('disconnected');
  }

  async #followStatus(connection: NatsConnection): Promise<void> {
    for await (const event of connection.status()) {
      if (event.type === 'disconnect') this.#status.set('disconnected');
      if (event.type === 'reconnect') this.#status.set('connected');
      if (event.type === 'error') this.#report(event.error);
    }
  }

  readonly #report = (error: unknown): undefined => {
    this.#options.onError?.(error);
  };

  readonly #retryDelayMs = (): number =>
    RETRY_MIN_MS + this.#options.random() * (RETRY_MAX_MS - RETRY_MIN_MS);

  #connectOptions(): NodeConnectionOptions {
    const { servers, name, tls, credentials } = this.#options;
    return {
      servers: [...servers],
      name,
      timeout: CONNECT_TIMEOUT_MS,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: MAX_PINGS_OUT,
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true,
      reconnectDelayHandler: this.#retryDelayMs,
      noAsyncTraces: true,
      ...(tls === undefined ? {} : { tls: { ...tls, ...identityCheck(servers) } }),
      ...(credentials === undefined ? {} : { authenticator: authenticatorOf(credentials) }),
    };
  }
}

/**
 * The client has a certificate of a server that was given by its address checked against the name `localhost`; here it
 * must name one of the given addresses. Servers given by name are checked as ever.
 */
function identityCheck(servers: readonly string[]): object {
  const addresses = servers.map(hostOf).filter((host) => isIP(host) !== 0);
  return {
    checkServerIdentity: (name: string, certificate: PeerCertificate): Error | undefined => {
      const mismatch = checkServerIdentity(name, certificate);
      if (mismatch === undefined || name !== 'localhost') return mismatch;
      const isOneOfThem = addresses.some(
        (address) => checkServerIdentity(address, certificate) === undefined,
      );
      return isOneOfThem ? undefined : mismatch;
    },
  };
}

function hostOf(server: string): string {
  const url = URL.parse(server.includes('://') ? server : `nats://${server}`);
  return url?.hostname.replace(/^\[|\]$/g, '') ?? '';
}

/** The session behind a link this package made. */
export function sessionOf(link: NatsLink): NatsSession {
  if (link instanceof NatsSession) return link;
  throw new TypeError('a link to NATS is made by openNats');
}

/** Waits for `work`, but no longer than `limitMs`. */
export async function within(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<void> {
  const done = new AbortController();
  const finished = work.finally(() => done.abort());
  await Promise.race([finished, clock.wait(limitMs, done.signal)]);
}

function authenticatorOf(credentials: NatsCredentials): Authenticator {
  switch (credentials.kind) {
    case 'creds':
      return credsAuthenticator(() => readFileSync(credentials.file));
    case 'nkey':
      return nkeyAuthenticator(() => Buffer.from(readText(credentials.seedFile)));
    case 'password':
      return usernamePasswordAuthenticator(credentials.user, () =>
        readText(credentials.passwordFile),
      );
  }
}

function readText(file: string): string {
  return readFileSync(file, 'utf8').trim();
}
