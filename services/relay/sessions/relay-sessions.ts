/** Puts attachments, sessions, the TLS lane and the public listener together. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '@nexodus/clock';
import type { GrantServiceDefinition } from '@nexodus/contracts/relay';
import type { ListenAddress } from '@nexodus/config';
import type { Part } from '@nexodus/lifecycle';
import type { RpcClient, ServerTls } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import { wireGuardPublicKeyFromBytes } from '@nexodus/wireguard';
import type { Meter } from '@opentelemetry/api';
import { createTlsLane, type TlsLane } from '../tls-lane/tls-lane.ts';
import { defaultTlsLaneLimits } from '../tls-lane/tls-lane-limits.ts';
import { createTlsLaneMetrics } from '../tls-lane/tls-lane-metrics.ts';
import type { UdpLane, UdpLaneEvents, UdpLanePlace } from '../udp-lane/udp-lane.ts';
import { GrantFollower } from './grant-follower.ts';
import { GrantKeys } from './grant-keys.ts';
import { createGrpcSocket } from './grpc-socket.ts';
import { LaneKeeper } from './lane-keeper.ts';
import { observeSignals } from './observe-signals.ts';
import { createPublicListener } from './public-listener.ts';
import { type HubLimits, SessionHub } from './session-hub.ts';

/** What sessions are made of. */
export interface RelaySessionsOptions {
  readonly relayId: string;
  readonly listen: ListenAddress;
  readonly tls: Pick<ServerTls, 'certificate' | 'key'>;
  readonly limits: HubLimits;
  /** Connections at once from one IPv4 address or IPv6 /64. */
  readonly connectionsPerSource: number;
  readonly openUdpLane: (events: UdpLaneEvents) => Promise<UdpLane>;
  /** A place of the UDP lane as devices reach it. */
  readonly publicPlace: (place: UdpLanePlace) => UdpLanePlace;
  readonly grants: Pick<RpcClient<typeof GrantServiceDefinition>, 'listGrantKeys' | 'watchPasses'>;
  readonly clock: Clock;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly meter: Meter;
}

/** The sessions of a relay, with all that devices reach over TLS. */
export interface RelaySessions {
  /** To be started in this order. */
  readonly parts: readonly Part[];
  readonly hub: SessionHub;
  readonly tlsLane: TlsLane;
  readonly udpLane: Pick<LaneKeeper, 'capacity' | 'statistics' | 'technology' | 'technologyReason'>;
  /**
   * Takes nothing new, asks devices to move to other relays and carries on for them meanwhile. Resolves when all have
   * left, at the latest after `durationMs`.
   *
   * @param told called when new devices are refused
   */
  drain(durationMs: number, told: () => void): Promise<void>;
  /** Whether revocations arrive. */
  isFollowing(): boolean;
  /** Port of the public listener, once it has started. */
  port(): number;
}

/** How often ends of grants are looked for. */
const EXPIRY_CHECK_MS = 1_000;

/** Builds the sessions of a relay; nothing is started by it. */
export function createRelaySessions(options: RelaySessionsOptions): RelaySessions {
  const { clock, grants, listen, logger, relayId, tls } = options;
  const keys = new GrantKeys({ relayId, grants, clock, logger });
  const follower = new GrantFollower({
    ...options,
    revoked: (grantIds) => hub.revoke(grantIds),
  });
  const tlsLane = openTlsLane(options, () => hub);
  const udpLane = createLaneKeeper(options, () => hub);
  const hub = new SessionHub({
    relayId,
    limits: options.limits,
    udpLane,
    tlsLane: {
      disconnect: (key) => void tlsLane.disconnect(wireGuardPublicKeyFromBytes(key)),
    },
    verify: (signed, devices) => keys.verify(signed, devices),
    follower,
    newSessionId: () => randomBytes(8).readBigUInt64BE(),
    clock,
  });
  observeSignals(options.meter, hub.signals.counts);
  const grpc = createGrpcSocket({ relayId, hub, verify: keys.verify.bind(keys), clock, logger });
  const listener = createPublicListener({
    ...listen,
    tls,
    connectionsPerSource: options.connectionsPerSource,
    grpcSocket: () => grpc.path(),
    handleUpgrade: (request, socket, head) => tlsLane.handleUpgrade(request, socket, head),
  });
  return {
    parts: [
      udpLane.part,
      follower.part,
      expiryPart(hub, clock),
      grpc.part,
      listener.part,
      endingPart(hub),
    ],
    hub,
    tlsLane,
    udpLane,
    drain: (durationMs, told) => drain({ clock, hub, tlsLane }, durationMs, told),
    isFollowing: () => follower.isFollowing,
    port: () => listener.port(),
  };
}

/** The lanes and the hub know each other: lanes ask for it when something arrives. */
type HubSource = () => SessionHub;

function openTlsLane(
  { clock, logger, meter, random }: RelaySessionsOptions,
  hub: HubSource,
): TlsLane {
  return createTlsLane({
    admits: (key) => hub().admits(key),
    mayForward: (from, to) => hub().mayForward(from, to),
    carry: (from, to, bytes) => hub().carry(from, to, bytes),
    clock,
    random,
    limits: defaultTlsLaneLimits,
    metrics: createTlsLaneMetrics(meter),
    logger,
  });
}

function createLaneKeeper(
  { clock, logger, openUdpLane, publicPlace }: RelaySessionsOptions,
  hub: HubSource,
): LaneKeeper {
  return new LaneKeeper({
    open: openUdpLane,
    publicPlace,
    events: {
      ended: (sessionId, reason) => hub().ended(sessionId, reason),
      roamed: (sessionId, side) => hub().roamed(sessionId, side),
      lost: () => hub().lost(),
    },
    clock,
    logger,
  });
}

function expiryPart(hub: SessionHub, clock: Clock): Part {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await clock.wait(EXPIRY_CHECK_MS, stopping.signal);
      hub.expire();
    }
  };
  return {
    name: 'ends of grants',
    start: async () => {
      running = run();
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

/** Devices ask again where to go within this part of the time that there is. */
const SPREAD = 0.2;

const DRAIN_CHECK_MS = 50;

async function drain(
  { clock, hub, tlsLane }: { clock: Clock; hub: SessionHub; tlsLane: TlsLane },
  durationMs: number,
  told: () => void,
): Promise<void> {
  const endMs = clock.monotonicMs() + durationMs;
  hub.drain(clock.now() + durationMs);
  told();
  const clientsGone = tlsLane.drain({
    spreadMs: durationMs * SPREAD,
    tryForMs: durationMs,
    graceMs: durationMs,
  });
  while (hub.counts.attachments > 0 && clock.monotonicMs() < endMs) {
    await clock.wait(DRAIN_CHECK_MS);
  }
  await clientsGone;
}

/** Stops first: says goodbye while the listener still runs. */
function endingPart(hub: SessionHub): Part {
  return {
    name: 'sessions',
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(hub.stop()),
  };
}
