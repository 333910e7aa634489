import type { PortRange } from '../core/port-pool.ts';
import { sessionsByOpenFiles } from './open-files.ts';
import type {
  UdpLane,
  UdpLanePlace,
  UdpLaneSession,
  UdpLaneStatistics,
  UdpLaneTechnology,
} from './udp-lane.ts';
import { DEFAULT_PORTS, openUdpLane, type UdpLaneOptions } from './worker-udp-lane.ts';

/** The form of a lane with several threads. */
export interface SpreadUdpLaneOptions extends UdpLaneOptions {
  /** Threads, each with its part of the ports and of the sessions; at least 1. About one for each core. */
  readonly threads: number;
}

/**
 * Opens a lane that is spread over several threads: a session belongs to one of them, the emptiest when it is opened. The
 * shares of tenants and devices hold in each thread. When one thread fails, all end.
 *
 * @throws Error where a thread cannot be started; those that were are stopped
 */
export async function openSpreadUdpLane(options: SpreadUdpLaneOptions): Promise<UdpLane> {
  const { threads, addresses, events, offload, ports = DEFAULT_PORTS } = options;
  const { sessions = sessionsByOpenFiles(addresses.length) } = options;
  const lanes: UdpLane[] = [];
  const spread = new SpreadUdpLane(lanes);
  const failed = (error: Error): void => {
    if (spread.isStopped) return;
    void spread.stop();
    events.failed(error);
  };
  try {
    // One after the other: the first that switches forwarding on is the one that switches it off.
    for (const [index, part] of splitPorts(ports, threads).entries()) {
      const lane = await openUdpLane({
        ...options,
        ports: part,
        sessions: Math.floor(sessions / threads),
        events: {
          ...events,
          ended: (sessionId, reason) => {
            spread.forget(sessionId);
            events.ended(sessionId, reason);
          },
          failed,
        },
        offload: offload && { ...offload, stateFile: `${offload.stateFile}.${index}` },
      });
      lanes.push(lane);
    }
  } catch (error) {
    await spread.stop();
    throw error;
  }
  return spread;
}

/** Parts of about the same size, each with an even number of ports. */
export function splitPorts({ first, last }: PortRange, parts: number): PortRange[] {
  const pairs = Math.floor((last - first + 1) / 2);
  const start = (part: number): number => first + 2 * Math.floor((pairs * part) / parts);
  return Array.from({ length: parts }, (_unused, part) => ({
    first: start(part),
    last: start(part + 1) - 1,
  }));
}

class SpreadUdpLane implements UdpLane {
  isStopped = false;
  readonly #lanes: readonly UdpLane[];
  readonly #homes = new Map<bigint, UdpLane>();
  readonly #counts = new Map<UdpLane, number>();

  constructor(lanes: readonly UdpLane[]) {
    this.#lanes = lanes;
  }

  get technology(): UdpLaneTechnology {
    return this.#lanes[0]?.technology ?? 'dgram';
  }

  get technologyReason(): string | undefined {
    return this.#lanes[0]?.technologyReason;
  }

  get capacity(): number {
    return sum(this.#lanes.map(({ capacity }) => capacity));
  }

  async open(session: UdpLaneSession): Promise<UdpLanePlace | undefined> {
    const { sessionId } = session;
    const home = this.#homes.get(sessionId) ?? this.#emptiest();
    if (home === undefined) return undefined;
    if (!this.#homes.has(sessionId)) {
      this.#homes.set(sessionId, home);
      this.#counts.set(home, this.#countOf(home) + 1);
    }
    const place = await home.open(session);
    if (place === undefined) this.forget(sessionId);
    return place;
  }

  close(sessionId: bigint): void {
    this.#homes.get(sessionId)?.close(sessionId);
    this.forget(sessionId);
  }

  drain(): void {
    for (const lane of this.#lanes) lane.drain();
  }

  async statistics(): Promise<UdpLaneStatistics> {
    const each = await Promise.all(this.#lanes.map((lane) => lane.statistics()));
    const [first, ...rest] = each;
    if (first === undefined) throw new Error('the lane has no thread');
    return rest.reduce((total, one) => addNumbers(total, one), first);
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all(this.#lanes.map((lane) => lane.stop()));
  }

  /** A session is over. */
  forget(sessionId: bigint): void {
    const home = this.#homes.get(sessionId);
    if (home === undefined) return;
    this.#homes.delete(sessionId);
    this.#counts.set(home, this.#countOf(home) - 1);
  }

  #emptiest(): UdpLane | undefined {
    return this.#lanes.reduce<UdpLane | undefined>(
      (best, lane) =>
        best === undefined || this.#countOf(lane) < this.#countOf(best) ? lane : best,
      undefined,
    );
  }

  #countOf(lane: UdpLane): number {
    return this.#counts.get(lane) ?? 0;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

/** Adds all numbers of two values of the same shape. */
function addNumbers<T extends object>(left: T, right: T): T {
  const entries = Object.entries(left).map(([name, value]: [string, unknown]) => {
    // Both have the same keys with the same kinds of values.
    const other = (right as Record<string, unknown>)[name];
    if (typeof value === 'number' && typeof other === 'number') return [name, value + other];
    if (typeof value !== 'object' || value === null) return [name, value];
    return [name, addNumbers(value, Object(other) as object)];
  });
  return Object.fromEntries(entries) as T; // the shape of both
}
