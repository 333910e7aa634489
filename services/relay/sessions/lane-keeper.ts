import type { Clock } from '@nexodus/clock';
import type { Part } from '@nexodus/lifecycle';
import type { Logger } from '@nexodus/telemetry';
import type {
  UdpLane,
  UdpLaneEvents,
  UdpLanePlace,
  UdpLaneSession,
  UdpLaneStatistics,
} from '../udp-lane/udp-lane.ts';

/** Wait before a lane that failed is opened anew. */
const REOPEN_MS = 1_000;

/** What the keeper needs. */
export interface LaneKeeperOptions {
  readonly open: (events: UdpLaneEvents) => Promise<UdpLane>;
  /** A place as devices reach it. */
  readonly publicPlace: (place: UdpLanePlace) => UdpLanePlace;
  /** What the lane tells of sessions, and that it lost all of them. */
  readonly events: Pick<UdpLaneEvents, 'ended' | 'roamed'> & { readonly lost: () => void };
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Keeps the UDP lane open: one that fails loses its sessions and is opened anew. */
export class LaneKeeper {
  readonly part: Part = {
    name: 'UDP lane',
    start: async () => {
      this.#lane = await this.#open();
    },
    stop: async () => {
      this.#stopping.abort();
      await this.#reopening;
      await this.#lane?.stop();
    },
  };
  readonly #options: LaneKeeperOptions;
  readonly #stopping = new AbortController();
  #lane: UdpLane | undefined;
  #reopening: Promise<void> | undefined;

  constructor(options: LaneKeeperOptions) {
    this.#options = options;
  }

  /** As the lane does; without a place while there is no lane. */
  async open(session: UdpLaneSession): Promise<UdpLanePlace | undefined> {
    const place = await this.#lane?.open(session);
    return place && this.#options.publicPlace(place);
  }

  /** As the lane does. */
  close(sessionId: bigint): void {
    this.#lane?.close(sessionId);
  }

  /** As the lane does. */
  drain(): void {
    this.#lane?.drain();
  }

  /** Sessions that the lane can carry at most; 0 while there is none. */
  get capacity(): number {
    return this.#lane?.capacity ?? 0;
  }

  /** How the lane carries data; undefined while there is none. */
  get technology(): UdpLane['technology'] | undefined {
    return this.#lane?.technology;
  }

  /** Why it is not a faster one. */
  get technologyReason(): string | undefined {
    return this.#lane?.technologyReason;
  }

  /** Of the lane that is open; undefined while there is none. */
  async statistics(): Promise<UdpLaneStatistics | undefined> {
    return this.#lane?.statistics().catch(() => undefined);
  }

  async #open(): Promise<UdpLane> {
    const { clock, events, logger, open } = this.#options;
    const lane = await open({
      ended: events.ended,
      roamed: events.roamed,
      offloadFailed: (reason) => logger.warn({ reason }, 'the kernel does not carry sessions'),
      failed: (error) => {
        logger.error({ error }, 'the UDP lane failed and is opened anew');
        this.#lane = undefined;
        events.lost();
        this.#reopening = this.#reopen(clock);
      },
    });
    const { capacity, technology, technologyReason: reason } = lane;
    logger.info({ capacity, technology, reason }, 'the UDP lane is open');
    return lane;
  }

  async #reopen(clock: Clock): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await clock.wait(REOPEN_MS, signal);
      if (signal.aborted) return;
      try {
        this.#lane = await this.#open();
        return;
      } catch (error) {
        this.#options.logger.error({ error }, 'the UDP lane could not be opened');
      }
    }
  }
}
