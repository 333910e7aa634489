import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import type { Clock } from '@nexodus/clock';
import {
  type GrantServiceDefinition,
  RelayHeartbeat,
  RelayServiceDefinition,
} from '@nexodus/contracts/relay';
import { createHeartbeat, type Heartbeat } from '@nexodus/heartbeat';
import type { Part } from '@nexodus/lifecycle';
import { addressKind, type IpAddress, parseIpAddress } from '@nexodus/netip';
import type { MessageBus } from '@nexodus/messaging';
import { createBinder, type RpcClient, type ServerTls, type ServiceIdentity } from '@nexodus/rpc';
import type { ServiceModule } from '@nexodus/service-process';
import type { Logger } from '@nexodus/telemetry';
import type { Meter } from '@opentelemetry/api';
import { type Capacity, freeSessions } from './core/capacity.ts';
import type { RelayConfig } from './relay-config.ts';
import { publicPlace, udpAddresses } from './udp-addresses.ts';
import { observeRelay } from './relay-metrics.ts';
import { relayStatistics } from './relay-statistics.ts';
import { createRelayService } from './relay-service.ts';
import { createRelayStun, type RelayStun } from './relay-stun.ts';
import type { HubLimits } from './sessions/session-hub.ts';
import { createRelaySessions, type RelaySessions } from './sessions/relay-sessions.ts';
import { openSpreadUdpLane } from './udp-lane/spread-udp-lane.ts';
import type { UdpLane, UdpLaneEvents } from './udp-lane/udp-lane.ts';

/** Where heartbeats go (relay.proto). */
const HEARTBEAT_SUBJECT = 'nexodus.relay.heartbeat';

/** What the relay is made of. */
export interface RelayModuleOptions {
  readonly config: RelayConfig;
  /** What devices are shown. */
  readonly tls: Pick<ServerTls, 'certificate' | 'key'>;
  /** The apiserver, which need not be reachable when the relay starts. */
  readonly grants: Pick<RpcClient<typeof GrantServiceDefinition>, 'listGrantKeys' | 'watchPasses'>;
  /** Who opened it closes it after the module has stopped. */
  readonly bus: MessageBus;
  readonly clock: Clock;
  /** A number from 0 up to 1, such as `Math.random`, for the heartbeat's jitter. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly meter: Meter;
}

/** Builds the relay: sessions of pairs that the control plane granted, carried without a key that opens them. */
export function createRelayModule(options: RelayModuleOptions): ServiceModule {
  const { config, logger, meter } = options;
  const places = Math.floor((config.udp.last_port - config.udp.first_port + 1) / 2);
  const sessions = createRelaySessions({
    ...options,
    relayId: config.id,
    listen: config.listen,
    limits: hubLimits(config, places),
    connectionsPerSource: config.limits.connections_per_source,
    openUdpLane: (events) => openLane(options, events),
    publicPlace: (place) => publicPlace(place, udpAddresses(config)),
  });
  const current = (): Capacity => ({
    capacity: Math.min(places, sessions.udpLane.capacity),
    sessions: sessions.hub.counts.sessions,
  });
  const statistics = (): ReturnType<typeof relayStatistics> => relayStatistics(sessions, current());
  observeRelay(meter, statistics);
  const stun = createRelayStun({
    addresses: udpAddresses(config),
    port: config.udp.stun_port,
    beside: config.udp.stun_addresses,
    logger,
  });
  const heartbeat = createRelayHeartbeat(options, { sessions, current, stun });
  let isServing = false;
  const serving: Part = {
    name: 'relay',
    start: async () => {
      logger.info({ ...current(), port: sessions.port() }, 'relay started');
      isServing = true;
    },
    stop: async () => {
      isServing = false;
      await sessions.drain(config.drain_seconds * 1_000, heartbeat.beat);
    },
  };
  const bind = createBinder<'internal', ServiceIdentity>('internal');
  return {
    name: 'relay',
    parts: [...sessions.parts, stun.part, heartbeat, serving],
    internalServices: [bind(RelayServiceDefinition, createRelayService(statistics))],
    internalCallers: { [`/${RelayServiceDefinition.fullName}/*`]: ['apiserver'] },
    checkReady: async () => {
      if (!isServing) throw new Error('the relay has not started');
    },
  };
}

function hubLimits({ limits }: RelayConfig, places: number): HubLimits {
  return {
    attachments: limits.attachments,
    sessions: places,
    sessionsPerTenant: limits.sessions_per_organization,
    sessionsPerDevice: limits.sessions_per_device,
    session: {
      rateBytesPerSecond: limits.session_megabits_per_second * 125_000 || Infinity,
      quotaBytes: limits.session_megabytes * 1_000_000 || Infinity,
    },
  };
}

function openLane({ clock, config }: RelayModuleOptions, events: UdpLaneEvents): Promise<UdpLane> {
  const {
    first_port: first,
    last_port: last,
    offload,
    state_file: stateFile,
    threads,
  } = config.udp;
  const addresses = udpAddresses(config);
  // The kernel forwards nothing that stays on this machine, and must know what to send from.
  const canOffload = addresses.listen.every((text) => !isLocalOnly(parseIpAddress(text)));
  return openSpreadUdpLane({
    threads,
    addresses: addresses.listen,
    ports: { first, last },
    tenantShare: 1,
    sessionsPerDevice: config.limits.sessions_per_device,
    offload: offload && canOffload ? { stateFile } : undefined,
    events,
    now: () => clock.now(),
  });
}

function isLocalOnly(address: IpAddress): boolean {
  const kind = addressKind(address);
  return kind === 'loopback' || kind === 'unspecified';
}

function createRelayHeartbeat(
  { bus, clock, config, random }: RelayModuleOptions,
  {
    current,
    sessions,
    stun,
  }: { sessions: RelaySessions; current: () => Capacity; stun: RelayStun },
): Heartbeat {
  const instanceId = randomUUID();
  return createHeartbeat({
    name: 'relay heartbeat',
    bus,
    subject: HEARTBEAT_SUBJECT,
    message: () => {
      const told = RelayHeartbeat.fromPartial({
        instanceId,
        region: config.region,
        freeSessions: BigInt(sessions.hub.isDraining ? 0 : freeSessions(current())),
        relayId: config.id,
        url: publicUrl(config, sessions.port()),
        stunAddresses: [...stun.addresses()],
        draining: sessions.hub.isDraining,
      });
      return RelayHeartbeat.encode(told).finish();
    },
    clock,
    random,
  });
}

/** The origin that devices are told. */
function publicUrl({ listen, public_url: named }: RelayConfig, port: number): string {
  if (named !== undefined) return new URL(named).origin;
  const host = isIP(listen.host) === 6 ? `[${listen.host}]` : listen.host;
  return `https://${host}:${port}`;
}
