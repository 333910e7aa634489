import type { Clock, Timer } from '@nexodus/clock';
import type { Part } from '@nexodus/lifecycle';
import type { BusSubscription, MessageBus } from '@nexodus/messaging';

/** Middle of the time between two heartbeats (stun.proto, relay.proto): whoever misses three calls an instance gone. */
const INTERVAL_MS = 10_000;

/** Whoever begins to listen to heartbeats publishes here, with any content, and hears of everybody at once. */
export const HEARTBEAT_CALL_SUBJECT = 'nexodus.heartbeat.call';

/** How much an interval may differ from the middle, so that instances started together drift apart. */
const JITTER = 0.1;

/** A heartbeat that runs as a part. */
export interface Heartbeat extends Part {
  /** Beats now, between start and stop: something is different. */
  readonly beat: () => void;
}

/** What is told, and where. */
export interface HeartbeatOptions {
  /** Name of the part, for logs. */
  readonly name: string;
  readonly bus: MessageBus;
  readonly subject: string;
  /** Makes the message as it stands at the moment. It must not throw. */
  readonly message: () => Uint8Array;
  readonly clock: Clock;
  /** A number from 0 up to 1, such as `Math.random`. */
  readonly random: () => number;
}

/**
 * A part by which an instance says that it is there: at its start, every 9 to 11 s, when somebody asks for it
 * (`HEARTBEAT_CALL_SUBJECT`), and as soon as the bus is connected (again), for what was told meanwhile is lost. After its
 * stop it says nothing, and is missed.
 */
export function createHeartbeat(options: HeartbeatOptions): Heartbeat {
  const { name, bus, subject, message, clock, random } = options;
  let timer: Timer | undefined;
  let unlisten: (() => void) | undefined;
  let subscription: BusSubscription | undefined;
  const beat = (): void => {
    bus.publish(subject, message());
    timer?.cancel();
    timer = clock.setTimer(INTERVAL_MS * (1 + JITTER * (2 * random() - 1)), beat);
  };
  return {
    name,
    beat,
    start: async () => {
      unlisten = bus.onStatus((status) => status === 'connected' && beat());
      subscription = bus.subscribe(HEARTBEAT_CALL_SUBJECT, beat);
      beat();
    },
    stop: async () => {
      unlisten?.();
      subscription?.unsubscribe();
      timer?.cancel();
    },
  };
}
