import { isIPv6 } from 'node:net';
import { type UdpAdapter, startUdpWorker, type UdpWorker } from '@nexodus/udp-batch';
import { createMac1State, formatX25519PublicKey } from '@nexodus/wireguard';
import { type AdmissionLimits, defaultAdmissionLimits } from '../core/admission-limits.ts';
import type { PortPair, PortRange } from '../core/port-pool.ts';
import type {
  FromLane,
  LaneData,
  LaneOpeningDevice,
  OffloadData,
  ToLane,
} from './lane-messages.ts';
import { sessionsByOpenFiles } from './open-files.ts';
import type {
  UdpLane,
  UdpLaneDevice,
  UdpLaneEvents,
  UdpLanePlace,
  UdpLaneSession,
  UdpLaneStatistics,
  UdpLaneTechnology,
} from './udp-lane.ts';

/** The form of a lane. */
export interface UdpLaneOptions {
  /** Addresses to listen on, at most one of each family. With offload no wildcard: the kernel must know what to send from. */
  readonly addresses: readonly string[];
  /** UDP ports of sessions, two for each. Default 20,000 to 60,000. */
  readonly ports?: PortRange;
  /** Sessions at most, where the ports allow more. Default: as many as the process may have sockets for. */
  readonly sessions?: number;
  /** How the lane's sockets are read. Default `auto`: batched where the machine can. */
  readonly adapter?: UdpAdapter | 'auto';
  /** How the kernel carries data; undefined: it does not. */
  readonly offload?: {
    /** Interfaces that packets arrive at; default: those that have the addresses. */
    readonly interfaces?: readonly string[];
    /** Where it is written what the machine was like before, for the case of a sudden end. */
    readonly stateFile: string;
  };
  /** Share of the sessions that one tenant may have, at most 1. Default 0.25. */
  readonly tenantShare?: number;
  /** Sessions that one device may have. Default 256. */
  readonly sessionsPerDevice?: number;
  /** A session in which nobody is heard for this long ends. Default 5 min. */
  readonly idleMs?: number;
  /** Bytes of a session in both directions together, where it does not say. Default: no end. */
  readonly quotaBytes?: number;
  /** Bytes per second of each direction of a session, where it does not say. Default: no limit. */
  readonly rateBytesPerSecond?: number;
  readonly admission?: AdmissionLimits;
  readonly events: UdpLaneEvents;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const THREAD = new URL('./lane-thread.ts', import.meta.url);
/** Ports of sessions where none are named. */
export const DEFAULT_PORTS: PortRange = { first: 20_000, last: 60_000 };

/**
 * Opens a lane: a thread of its own with the sockets of its sessions.
 *
 * @throws Error where the thread cannot be started. A machine that cannot offload is no error: `technology` says so.
 */
export async function openUdpLane(options: UdpLaneOptions): Promise<UdpLane> {
  const lane = new WorkerUdpLane(options);
  await lane.start();
  return lane;
}

class WorkerUdpLane implements UdpLane {
  readonly #options: UdpLaneOptions;
  readonly #opening = new Map<number, (ports: PortPair | undefined) => void>();
  readonly #asking = new Map<number, PromiseWithResolvers<UdpLaneStatistics>>();
  readonly #started = Promise.withResolvers<Extract<FromLane, { kind: 'started' }>>();
  #worker: UdpWorker | undefined;
  #nextRequest = 0;
  /** Openings whose keys are still being prepared, and whether they were closed meanwhile. */
  readonly #preparing = new Set<{ readonly sessionId: bigint; isClosed: boolean }>();
  technology: UdpLaneTechnology = 'dgram';
  technologyReason: string | undefined;
  capacity = 0;

  constructor(options: UdpLaneOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const worker = await startUdpWorker({
      entry: THREAD,
      adapter: this.#options.adapter ?? 'auto',
      loop: { receiveOffload: true },
      data: this.#data(),
      // The other end of the channel is lane-program.ts.
      onMessage: (message) => this.#take(message as FromLane),
      onFailure: (error) => {
        this.#worker = undefined;
        this.#forgetRequests();
        this.#options.events.failed(error);
      },
    });
    this.#worker = worker;
    const { capacity, hasOffload, offloadReason } = await this.#started.promise;
    this.capacity = capacity;
    this.technology = hasOffload ? 'nft' : worker.adapter;
    this.technologyReason = offloadReason ?? worker.fallbackReason;
  }

  async open(session: UdpLaneSession): Promise<UdpLanePlace | undefined> {
    const { sessionId, tenantId, notAfterAt } = session;
    const preparation = { sessionId, isClosed: false };
    this.#preparing.add(preparation);
    const [first, second] = session.devices;
    const devices = [await prepared(first), await prepared(second)] as const;
    this.#preparing.delete(preparation);
    const { now, quotaBytes = Infinity, rateBytesPerSecond = Infinity } = this.#options;
    if (preparation.isClosed || this.#worker === undefined) return undefined;
    const request = (this.#nextRequest += 1);
    const answer = Promise.withResolvers<PortPair | undefined>();
    this.#opening.set(request, answer.resolve);
    this.#tell({
      kind: 'open',
      request,
      opening: {
        sessionId,
        tenantId,
        devices,
        lifetimeMs: notAfterAt === undefined ? Infinity : notAfterAt - now(),
        quotaBytes: session.quotaBytes ?? quotaBytes,
        rateBytesPerSecond: session.rateBytesPerSecond ?? rateBytesPerSecond,
      },
    });
    const ports = await answer.promise;
    return ports && [this.#addressesAt(ports[0]), this.#addressesAt(ports[1])];
  }

  close(sessionId: bigint): void {
    for (const preparation of this.#preparing) {
      if (preparation.sessionId === sessionId) preparation.isClosed = true;
    }
    this.#tell({ kind: 'close', sessionId });
  }

  drain(): void {
    this.#tell({ kind: 'drain' });
  }

  statistics(): Promise<UdpLaneStatistics> {
    const request = (this.#nextRequest += 1);
    const answer = Promise.withResolvers<UdpLaneStatistics>();
    if (this.#worker === undefined) answer.reject(new Error('the lane has ended'));
    this.#asking.set(request, answer);
    this.#tell({ kind: 'statistics', request });
    return answer.promise;
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.stop();
    this.#forgetRequests();
  }

  #data(): LaneData {
    const { addresses, ports = DEFAULT_PORTS, offload } = this.#options;
    return {
      addresses,
      ports,
      sessions: this.#options.sessions ?? sessionsByOpenFiles(addresses.length),
      tenantShare: this.#options.tenantShare ?? 0.25,
      sessionsPerDevice: this.#options.sessionsPerDevice ?? 256,
      idleMs: this.#options.idleMs ?? 300_000,
      admission: this.#options.admission ?? defaultAdmissionLimits,
      offload: offload && offloadData(offload),
    };
  }

  #tell(message: ToLane): void {
    this.#worker?.post(message);
  }

  #take(message: FromLane): void {
    const { events } = this.#options;
    switch (message.kind) {
      case 'started':
        return this.#started.resolve(message);
      case 'opened':
        this.#opening.get(message.request)?.(message.ports);
        this.#opening.delete(message.request);
        return;
      case 'statistics':
        this.#asking.get(message.request)?.resolve(message.statistics);
        this.#asking.delete(message.request);
        return;
      case 'ended':
        return events.ended(message.sessionId, message.reason);
      case 'roamed':
        return events.roamed(message.sessionId, message.side);
      case 'offload-failed':
        return events.offloadFailed(message.reason);
    }
  }

  /** Nobody answers any more: what was asked to open has no place. */
  #forgetRequests(): void {
    for (const resolve of this.#opening.values()) resolve(undefined);
    this.#opening.clear();
    for (const { reject } of this.#asking.values()) reject(new Error('the lane has ended'));
    this.#asking.clear();
  }

  #addressesAt(port: number): string[] {
    return this.#options.addresses.map((address) =>
      isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`,
    );
  }
}

function offloadData({
  interfaces,
  stateFile,
}: NonNullable<UdpLaneOptions['offload']>): OffloadData {
  return { interfaces, stateFile };
}

async function prepared(device: UdpLaneDevice): Promise<LaneOpeningDevice> {
  return {
    name: formatX25519PublicKey(device.wireGuardKey),
    mac1State: await createMac1State(device.wireGuardKey),
    registrationKey: device.registrationKey.exportBytes(),
  };
}
