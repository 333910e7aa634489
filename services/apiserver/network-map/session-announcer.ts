import type { Clock, Timer } from '@nexodus/clock';
import { DeviceState } from '@nexodus/contracts/event';
import type { SoftStateStore } from '@nexodus/messaging';
import type { Logger } from '@nexodus/telemetry';
import { textOfWhereabouts, type Whereabouts } from '../core/network-map/whereabouts.ts';
import { softStateKey } from './presence.ts';

/** What announcing a session needs. */
export interface AnnouncerOptions {
  readonly softState: Pick<SoftStateStore, 'put' | 'delete'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly vpcId: string;
  readonly deviceId: string;
  readonly epoch: bigint;
  /** What was known of the device from sessions before. */
  readonly whereabouts: Whereabouts;
  /** The store knows a later session. */
  readonly superseded: () => void;
}

/** How long a device stays online when its replica dies. */
const LEASE_MS = 90_000;

/** Twice within a lease, so that one lost renewal does no harm. */
const RENEW_MS = 30_000;

/** Next try after the store could not be reached. */
const RETRY_MS = 5_000;

/** What a device says within this time after something new is written together. */
const QUIET_MS = 50;

/** Least time between two writes of something new, however often a device speaks. */
const APART_MS = 1_000;

/**
 * Tells all replicas that a device has a stream here and where it may be reached, and renews that until the session
 * ends. Writes are fenced by the session's epoch: one that is late never overrules a later session.
 */
export class SessionAnnouncer {
  readonly #options: AnnouncerOptions;
  #whereabouts: Whereabouts;
  #sequence = 0n;
  #isEnded = false;
  #isWriting = false;
  #timer: Timer | undefined;
  #dueAtMs = Infinity;
  #newsWrittenAtMs = -Infinity;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#whereabouts = options.whereabouts;
  }

  /** Announces the session. */
  begin(): void {
    this.#writeIn(0);
  }

  /** Announces where the device may be reached, where that is new. */
  setWhereabouts(whereabouts: Whereabouts): void {
    const isNew = textOfWhereabouts(whereabouts) !== textOfWhereabouts(this.#whereabouts);
    this.#whereabouts = whereabouts;
    if (isNew) this.#writeIn(this.#newsDelayMs());
  }

  /**
   * The session is over; a superseded one leaves the word to the newer one. Resolves when that was written or could not
   * be; then the lease ends it.
   */
  async end(isSuperseded: boolean): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#timer?.cancel();
    if (isSuperseded) return;
    const { deviceId, epoch, logger, softState, vpcId } = this.#options;
    await softState
      .delete(softStateKey(vpcId, deviceId), epoch)
      .catch((error: unknown) => logger.debug({ error }, 'the end of a session was not announced'));
  }

  #newsDelayMs(): number {
    const restMs = this.#newsWrittenAtMs + APART_MS - this.#options.clock.monotonicMs();
    return Math.max(QUIET_MS, restMs);
  }

  /** A write that is due earlier stays so: who speaks all the time is written all the same. */
  #writeIn(delayMs: number): void {
    const { clock } = this.#options;
    const dueAtMs = clock.monotonicMs() + delayMs;
    if (this.#isEnded || this.#isWriting || this.#dueAtMs <= dueAtMs) return;
    this.#dueAtMs = dueAtMs;
    this.#timer?.cancel();
    this.#timer = clock.setTimer(delayMs, () => void this.#write());
  }

  async #write(): Promise<void> {
    const { clock, deviceId, epoch, logger, softState, superseded, vpcId } = this.#options;
    const whereabouts = this.#whereabouts;
    this.#dueAtMs = Infinity;
    this.#isWriting = true;
    this.#sequence += 1n;
    const isFirst = this.#sequence === 1n;
    if (!isFirst) this.#newsWrittenAtMs = clock.monotonicMs();
    const value = DeviceState.encode({
      deviceId,
      online: true,
      endpoints: [...whereabouts.endpoints],
      homeRelayId: whereabouts.homeRelayId,
      relayLatencies: [...whereabouts.relayLatencies],
    }).finish();
    const key = softStateKey(vpcId, deviceId);
    const leaseUntil = clock.now() + LEASE_MS;
    let nextMs = RETRY_MS;
    try {
      const entry = { key, epoch, sequence: this.#sequence, leaseUntil, value };
      const outcome = await softState.put(entry);
      if (outcome === 'stale' && !this.#isEnded) superseded();
      const isTold = textOfWhereabouts(whereabouts) === textOfWhereabouts(this.#whereabouts);
      nextMs = isTold ? RENEW_MS : this.#newsDelayMs();
    } catch (error) {
      logger.debug({ error }, 'a session was not announced');
    }
    this.#isWriting = false;
    this.#writeIn(nextMs);
  }
}
