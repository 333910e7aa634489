/** Asks the service for grants when they are needed, and holds them. */
import type { Clock, Timer } from '@nexodus/clock';
import type { AgentServiceDefinition } from '@nexodus/contracts/agent';
import type { SignedGrant } from '@nexodus/contracts/relay';
import { RpcError, type RpcClient } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import { reconnectPauseMs } from '../session/core/session-timing.ts';
import {
  dropPair,
  EMPTY_BOOK,
  type GrantBook,
  grantFor,
  type GrantWish,
  grantsNeeded,
  keepPairs,
  takeGrants,
} from './core/grant-book.ts';

/** What a desk needs. */
export interface GrantDeskOptions {
  /** Client whose calls carry token and proof. */
  readonly client: Pick<RpcClient<AgentServiceDefinition>, 'issueRelayGrants'>;
  readonly deviceId: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** There are other grants. */
  readonly onGrants: () => void;
}

/** Least time between two requests: peers that come one after the other are asked for together. */
const GATHER_MS = 50;

/** The service answers 60 requests a minute (docs/protocol/agent.md); this stays below. */
const SPACING_MS = 1_500;

/** Grants of one device. */
export class GrantDesk {
  readonly #options: GrantDeskOptions;
  readonly #abort = new AbortController();
  #book: GrantBook = EMPTY_BOOK;
  #wish: GrantWish | undefined;
  #failures = 0;
  #askedAtMs = -Infinity;
  #notBeforeMs = -Infinity;
  #isAsking = false;
  #timer: Timer | undefined;

  constructor(options: GrantDeskOptions) {
    this.#options = options;
  }

  /** The pass to show a relay. */
  pass(relayId: string): SignedGrant | undefined {
    return grantFor(this.#book.pass, relayId, this.#options.clock.now());
  }

  /** The pair with a peer to show a relay. */
  pair(peerId: string, relayId: string): SignedGrant | undefined {
    return grantFor(this.#book.pairs.get(peerId), relayId, this.#options.clock.now());
  }

  /** What is wanted from here on; asks when something of it is missing or old. */
  want(wish: GrantWish): void {
    this.#wish = wish;
    this.#book = keepPairs(this.#book, new Set(wish.peers.map(({ deviceId }) => deviceId)));
    this.#schedule();
  }

  /** A relay refused the pair's grant. */
  dropPair(peerId: string): void {
    this.#book = dropPair(this.#book, peerId, this.#options.clock.now());
  }

  /** A relay refused the pass. */
  dropPass(): void {
    this.#book = { ...this.#book, pass: undefined };
    this.#schedule();
  }

  /** Idempotent. */
  close(): void {
    this.#abort.abort();
    this.#timer?.cancel();
  }

  #schedule(): void {
    const { clock } = this.#options;
    if (this.#isAsking || this.#timer !== undefined || this.#abort.signal.aborted) return;
    if (this.#needed() === undefined) return;
    const nowMs = clock.monotonicMs();
    const atMs = Math.max(nowMs + GATHER_MS, this.#askedAtMs + SPACING_MS, this.#notBeforeMs);
    this.#timer = clock.setTimer(atMs - nowMs, () => {
      this.#timer = undefined;
      void this.#ask();
    });
  }

  #needed() {
    if (this.#wish === undefined) return undefined;
    return grantsNeeded(this.#book, this.#wish, this.#options.clock.now());
  }

  async #ask(): Promise<void> {
    const { client, clock, deviceId, logger, onGrants } = this.#options;
    const request = this.#needed();
    if (request === undefined) return;
    this.#isAsking = true;
    this.#askedAtMs = clock.monotonicMs();
    try {
      const { signal } = this.#abort;
      const answer = await client.issueRelayGrants(request, { signal });
      if (signal.aborted) return;
      const instant = { ownDeviceId: deviceId, nowMs: clock.now() };
      this.#book = takeGrants(this.#book, request, answer, instant);
      this.#failures = 0;
      onGrants();
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      logger.debug({ error }, 'no grants for relays');
      this.#pause(error);
    } finally {
      this.#isAsking = false;
      this.#schedule();
    }
  }

  #pause(error: unknown): void {
    const { clock, random } = this.#options;
    const told = error instanceof RpcError ? (error.details.retryAfterMs ?? 0) : 0;
    const pauseMs = reconnectPauseMs(this.#failures, random(), FIRST_PAUSE_MS);
    this.#notBeforeMs = clock.monotonicMs() + Math.max(told, pauseMs);
    this.#failures += 1;
  }
}

const FIRST_PAUSE_MS = 500;
