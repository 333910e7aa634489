import type { Clock } from '@nexodus/clock';
import type { ReachabilityMap } from '@nexodus/contracts/agent';
import { RelayHeartbeat } from '@nexodus/contracts/relay';
import { StunHeartbeat } from '@nexodus/contracts/stun';
import type { Part } from '@nexodus/lifecycle';
import type { BusMessage, MessageBus } from '@nexodus/messaging';
import type { Logger } from '@nexodus/telemetry';
import { HEARTBEAT_CALL_SUBJECT } from '@nexodus/heartbeat';
import { Reachability } from '../core/relays/reachability.ts';

/** How often who fell silent is looked for. */
const REVIEW_MS = 3_000;

/** What the directory needs. */
export interface ReachabilityDirectoryOptions {
  readonly bus: Pick<MessageBus, 'onStatus' | 'publish' | 'subscribe'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when something is different for devices. */
  readonly changed: () => void;
}

/** Who is there has answered by then. */
const SETTLE_MS = 1_000;

/** The relays and STUN servers that this replica hears of. */
export interface ReachabilityDirectory {
  readonly part: Part;
  /** Who is there; undefined so long after the start as that is not known. */
  map(): ReachabilityMap | undefined;
}

/** Listens to the heartbeats of relays and STUN servers (relay.proto, stun.proto). */
export function createReachabilityDirectory(
  options: ReachabilityDirectoryOptions,
): ReachabilityDirectory {
  const { bus, clock, logger, changed } = options;
  const known = new Reachability();
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  let isSettled = false;
  const call = (): void => void bus.publish(HEARTBEAT_CALL_SUBJECT, new Uint8Array());
  const listen = (subject: string, hear: (data: Uint8Array) => boolean): (() => void) => {
    const handle = ({ data }: BusMessage): void => {
      if (hear(data) && isSettled) changed();
    };
    const onError = (error: unknown): void =>
      logger.warn({ error, subject }, 'a heartbeat could not be understood');
    const subscription = bus.subscribe(subject, handle, { onError });
    return () => subscription.unsubscribe();
  };
  const leaves: (() => void)[] = [];
  const keepReviewing = async (): Promise<void> => {
    await clock.wait(SETTLE_MS, stopping.signal);
    isSettled = true;
    changed();
    while (!stopping.signal.aborted) {
      await clock.wait(REVIEW_MS, stopping.signal);
      if (known.forgetSilent(clock.monotonicMs())) changed();
    }
  };
  const part: Part = {
    name: 'relays and STUN servers',
    start: async () => {
      const nowMs = (): number => clock.monotonicMs();
      leaves.push(
        listen('nexodus.relay.heartbeat', (data) =>
          known.hearRelay(RelayHeartbeat.decode(data), nowMs()),
        ),
        listen('nexodus.stun.heartbeat', (data) =>
          known.hearStun(StunHeartbeat.decode(data), nowMs()),
        ),
      );
      leaves.push(bus.onStatus((status) => status === 'connected' && call()));
      call();
      running = keepReviewing();
    },
    stop: async () => {
      for (const leave of leaves) leave();
      stopping.abort();
      await running;
    },
  };
  return { part, map: () => (isSettled ? known.map : undefined) };
}
