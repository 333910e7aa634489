/** Puts attachments, sessions, the TLS lane and the public listener together. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '@nexodus/clock';
import type { GrantPayload, GrantServiceDefinition } from '@nexodus/contracts/relay';
import type { ListenAddress } from '@nexodus/config';
import type { Part } from '@nexodus/lifecycle';
import type { RpcClient, ServerTls } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import { wireGuardPublicKeyFromBytes } from '@nexodus/wireguard';
import type { Meter } from '@opentelemetry/api';
import { PairActivity } from '../core/pair-activity.ts';
import { createTlsLane, type TlsLane } from '../tls-lane/tls-lane.ts';
import { defaultTlsLaneLimits } from '../tls-lane/tls-lane-limits.ts';
import { createTlsLaneMetrics } from '../tls-lane/tls-lane-metrics.ts';
import { GrantFollower } from './grant-follower.ts';
import { GrantKeys } from './grant-keys.ts';
import { createGrpcSocket } from './grpc-socket.ts';
import type { PairLane } from './pair-lane.ts';
import { createPublicListener } from './public-listener.ts';
import { type HubLimits, SessionHub } from './session-hub.ts';

/** What sessions are made of. */
export interface RelaySessionsOptions {
  readonly relayId: string;
  readonly listen: ListenAddress;
  readonly tls: Pick<ServerTls, 'certificate' | 'key'>;
  readonly limits: HubLimits;
  readonly udpLane: PairLane;
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
  /** Whether revocations arrive. */
  isFollowing(): boolean;
  /** Port of the public listener, once it has started. */
  port(): number;
}

/** How often ends of grants are looked for. */
const REVIEW_MS = 1_000;

/** Builds the sessions of a relay; nothing is started by it. */
export function createRelaySessions(options: RelaySessionsOptions): RelaySessions {
  const { clock, grants, listen, logger, relayId, tls } = options;
  const keys = new GrantKeys({ relayId, grants, clock, logger });
  const activity = new PairActivity();
  const follower = new GrantFollower({
    ...options,
    revoked: (grantIds) => hub.revoke(grantIds),
  });
  const tlsLane: TlsLane = createTlsLane({
    admits: (key) => hub.admits(key),
    mayForward: (from, to) => hub.mayForward(from, to),
    clock,
    random: options.random,
    limits: defaultTlsLaneLimits,
    metrics: createTlsLaneMetrics(options.meter),
    logger,
  });
  const hub = new SessionHub({
    relayId,
    limits: options.limits,
    udpLane: options.udpLane,
    tlsLane: {
      disconnect: (key) => void tlsLane.disconnect(wireGuardPublicKeyFromBytes(key)),
      isActive: (grant) => isActive(activity, grant, clock.monotonicMs()),
    },
    verify: (signed, devices) => keys.verify(signed, devices),
    follower,
    newSessionId: () => randomBytes(8).readBigUInt64BE(),
    now: () => clock.now(),
  });
  const grpc = createGrpcSocket({ relayId, hub, verify: keys.verify.bind(keys), clock, logger });
  const listener = createPublicListener({
    ...listen,
    tls,
    grpcSocket: () => grpc.path(),
    handleUpgrade: (request, socket, head) => tlsLane.handleUpgrade(request, socket, head),
  });
  const review = (): void => {
    const nowMs = clock.monotonicMs();
    const traffic = tlsLane.takeTraffic().map(({ from, to }) => [from, to] as const);
    activity.note(traffic, nowMs);
    hub.expire();
  };
  return {
    parts: [
      follower.part,
      reviewPart(review, clock),
      grpc.part,
      listener.part,
      endingPart(hub, tlsLane),
    ],
    hub,
    tlsLane,
    isFollowing: () => follower.isFollowing,
    port: () => listener.port(),
  };
}

function isActive(activity: PairActivity, { devices }: GrantPayload, nowMs: number): boolean {
  const [first, second] = devices;
  if (first === undefined || second === undefined) return false;
  return activity.isActive(first.wireguardPublicKey, second.wireguardPublicKey, nowMs);
}

function reviewPart(review: () => void, clock: Clock): Part {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await clock.wait(REVIEW_MS, stopping.signal);
      review();
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

/** Stops first: says goodbye while the listener still runs. */
function endingPart(hub: SessionHub, tlsLane: TlsLane): Part {
  return {
    name: 'sessions',
    start: () => Promise.resolve(),
    stop: async () => {
      hub.stop();
      await tlsLane.drain({ spreadMs: 0, tryForMs: 0, graceMs: 0 });
    },
  };
}
