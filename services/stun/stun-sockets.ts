import type { ListenAddress } from '@nexodus/config';
import { ConfigError } from '@nexodus/config';
import type { Part } from '@nexodus/lifecycle';
import type { Clock } from '@nexodus/clock';
import type { Logger } from '@nexodus/telemetry';
import {
  openStunServer,
  planSockets,
  type StunCounts,
  type StunDiscovery,
  type StunServer,
  type StunServerOptions,
} from '@nexodus/stun-server';
import { UdpSocketError } from '@nexodus/udp-batch';
import { bindProblem, claimAddress } from './claim-address.ts';

/** Wait before sockets that failed are opened anew. */
const REOPEN_MS = 1_000;

/** SOFTWARE of every answer. */
const SOFTWARE = 'Nexodus';

/** What the sockets are made of. */
export interface StunSocketsOptions {
  readonly listen: readonly ListenAddress[];
  readonly discovery: StunDiscovery | undefined;
  readonly limit: StunServerOptions['limit'];
  readonly threads: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when all addresses are bound, with the ports they got. */
  readonly onListening: (bound: readonly ListenAddress[]) => void;
}

/** The sockets of the STUN server, as a part: all are bound when it has started, or none is. */
export class StunSockets {
  readonly part: Part = {
    name: 'stun sockets',
    start: () => this.#start(),
    stop: () => this.#stop(),
  };
  readonly #options: StunSocketsOptions;
  readonly #stopping = new AbortController();
  #addresses: readonly ListenAddress[] = [];
  #server: StunServer | undefined;
  #reopening: Promise<void> | undefined;
  /** Of servers that failed. */
  #before: StunCounts | undefined;

  constructor(options: StunSocketsOptions) {
    this.#options = options;
  }

  /** Addresses that are bound, in the order of `listen`; empty while they are not. */
  get addresses(): readonly ListenAddress[] {
    return this.#server === undefined ? [] : this.#addresses;
  }

  /** What became of datagrams since the start. */
  counts(): StunCounts | undefined {
    const now = this.#server?.counts();
    if (now === undefined || this.#before === undefined) return now ?? this.#before;
    return sumOf(this.#before, now);
  }

  async #start(): Promise<void> {
    const { discovery, listen, logger, onListening } = this.#options;
    const claimed: ListenAddress[] = [];
    for (const address of listen) claimed.push(await claimAddress(address));
    // The others of each: primary ones have been claimed.
    const others = plannedAddresses(claimed, discovery).filter(
      ({ host, port }) => !claimed.some((known) => known.host === host && known.port === port),
    );
    for (const address of others) await claimAddress(address);
    this.#addresses = claimed;
    await this.#open();
    const { adapter, fallbackReason } = this.#server ?? {};
    logger.info(
      { adapter, reason: fallbackReason, threads: this.#options.threads },
      'STUN answers',
    );
    onListening(claimed);
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    await this.#reopening;
    const server = this.#server;
    this.#before = this.counts();
    this.#server = undefined;
    await server?.stop();
  }

  async #open(): Promise<void> {
    const { discovery, limit, threads } = this.#options;
    try {
      this.#server = await openStunServer({
        listen: this.#addresses,
        ...(discovery && { discovery }),
        software: SOFTWARE,
        limit,
        threads,
        onFailure: (error) => this.#failed(error),
      });
    } catch (error) {
      if (!(error instanceof UdpSocketError)) throw error;
      const address = error.message.replace(/: \w+$/, '');
      throw new ConfigError([bindProblem(address, error.code)]);
    }
  }

  #failed(error: Error): void {
    this.#options.logger.error({ error }, 'the STUN sockets failed and are opened anew');
    this.#before = this.counts();
    this.#server = undefined;
    this.#reopening = this.#reopen();
  }

  async #reopen(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await clock.wait(REOPEN_MS, signal);
      if (signal.aborted) return;
      try {
        await this.#open();
        return;
      } catch (error) {
        logger.error({ error }, 'the STUN sockets could not be opened');
      }
    }
  }
}

function plannedAddresses(
  primary: readonly ListenAddress[],
  discovery: StunDiscovery | undefined,
): readonly ListenAddress[] {
  try {
    return planSockets(primary, discovery).map(({ address }) => address);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ConfigError([`stun.discovery: ${error.message}`]);
  }
}

function sumOf(left: StunCounts, right: StunCounts): StunCounts {
  // Both have the names of StunCounts, and no others.
  const names = Object.keys(left) as (keyof StunCounts)[];
  return Object.fromEntries(names.map((name) => [name, left[name] + right[name]])) as StunCounts;
}
