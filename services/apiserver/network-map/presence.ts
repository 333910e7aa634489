/**
 * Which devices have a stream, to whichever replica, and where they may be reached: what the soft-state store holds, as
 * far as this replica has heard.
 */
import type { Clock } from '@nexodus/clock';
import type { PeerState } from '@nexodus/contracts/agent';
import { DeviceState } from '@nexodus/contracts/event';
import type { Part } from '@nexodus/lifecycle';
import type { SoftStateChange, SoftStateStore } from '@nexodus/messaging';
import type { Logger } from '@nexodus/telemetry';
import { textOfWhereabouts } from '../core/network-map/whereabouts.ts';
import { outsideTraces } from './trace-context.ts';

/** Key of a device in the soft-state store. */
export function softStateKey(vpcId: string, deviceId: string): string {
  return `${vpcId}.${deviceId}`;
}

/** What presence needs. */
export interface PresenceOptions {
  readonly softState: Pick<SoftStateStore, 'watch' | 'sweep'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Time between two sweeps of ended leases. */
  readonly sweepMs: number;
  /** After the store could not be reached, others get this long to renew before anybody is swept. */
  readonly graceMs: number;
  /** Called when what is known of a device changed. */
  readonly changed: (vpcId: string, deviceId: string) => void;
}

/** How long the endpoints of a device outlive its stream: it may be back at them. */
const KEEP_OFFLINE_MS = 10 * 60_000;

interface Known {
  readonly state: PeerState;
  /** On the monotonic clock; undefined while online. */
  readonly offlineSinceMs: number | undefined;
}

/** One for each replica. */
export class Presence {
  readonly part: Part = {
    name: 'presence',
    start: () => outsideTraces(() => this.#start()),
    stop: () => this.#stop(),
  };
  readonly #options: PresenceOptions;
  readonly #known = new Map<string, Known>();
  readonly #stopping = new AbortController();
  #running: Promise<unknown> | undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** What is known of a device; undefined for nothing. */
  stateOf(vpcId: string, deviceId: string): PeerState | undefined {
    return this.#known.get(softStateKey(vpcId, deviceId))?.state;
  }

  #start(): Promise<void> {
    this.#running = Promise.all([this.#watch(), this.#keepSweeping()]);
    return Promise.resolve();
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #watch(): Promise<void> {
    const { softState } = this.#options;
    for await (const change of softState.watch('', this.#stopping.signal)) this.#take(change);
  }

  #take(change: SoftStateChange): void {
    const key = change.kind === 'put' ? change.entry.key : change.key;
    const [vpcId, deviceId] = key.split('.');
    if (vpcId === undefined || deviceId === undefined) return;
    const state =
      change.kind === 'put'
        ? readState(deviceId, change.entry.value)
        : { ...absentState(deviceId), ...this.#known.get(key)?.state, online: false };
    if (state === undefined) return;
    const before = this.#known.get(key)?.state;
    const offlineSinceMs = state.online ? undefined : this.#options.clock.monotonicMs();
    this.#known.set(key, { state, offlineSinceMs });
    if (!isSameState(before, state)) this.#options.changed(vpcId, deviceId);
  }

  async #keepSweeping(): Promise<void> {
    const { clock, graceMs, logger, random, softState, sweepMs } = this.#options;
    const { signal } = this.#stopping;
    let notBeforeMs = 0;
    while (!signal.aborted) {
      await clock.wait(sweepMs * (0.75 + random() / 2), signal);
      this.#forget();
      if (signal.aborted) return;
      try {
        // After a failure all leases look ended until those who hold them could renew.
        if (clock.monotonicMs() >= notBeforeMs) await softState.sweep(clock.now());
      } catch (error) {
        notBeforeMs = clock.monotonicMs() + graceMs;
        logger.debug({ error }, 'soft state could not be swept');
      }
    }
  }

  #forget(): void {
    const endMs = this.#options.clock.monotonicMs() - KEEP_OFFLINE_MS;
    for (const [key, { offlineSinceMs = Infinity }] of this.#known) {
      if (offlineSinceMs < endMs) this.#known.delete(key);
    }
  }
}

/** State of a device that nothing is known of. */
function absentState(deviceId: string): PeerState {
  return { deviceId, online: false, endpoints: [], homeRelayId: '', relayLatencies: [] };
}

function readState(deviceId: string, value: Uint8Array): PeerState | undefined {
  try {
    const { online, endpoints, homeRelayId, relayLatencies } = DeviceState.decode(value);
    return { deviceId, online, endpoints, homeRelayId, relayLatencies };
  } catch {
    return undefined;
  }
}

function isSameState(left: PeerState | undefined, right: PeerState): boolean {
  if (left === undefined || left.online !== right.online) return false;
  return textOfWhereabouts(left) === textOfWhereabouts(right);
}
