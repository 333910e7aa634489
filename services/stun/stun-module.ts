import { randomUUID } from 'node:crypto';
import type { Clock } from '@nexodus/clock';
import type { ListenAddress } from '@nexodus/config';
import { StunHeartbeat, StunServiceDefinition } from '@nexodus/contracts/stun';
import { createHeartbeat } from '@nexodus/heartbeat';
import type { MessageBus } from '@nexodus/messaging';
import { addressKind, parseIpAddress } from '@nexodus/netip';
import { createBinder, type ServiceIdentity } from '@nexodus/rpc';
import type { ServiceModule } from '@nexodus/service-process';
import type { Logger } from '@nexodus/telemetry';
import type { Meter } from '@opentelemetry/api';
import { formatSocketAddress } from './socket-address-text.ts';
import type { StunConfig } from './stun-config.ts';
import { LoadMeter } from './load-meter.ts';
import { observeStun } from './stun-metrics.ts';
import { StunSockets } from './stun-sockets.ts';
import { createStunService } from './stun-service.ts';

/** Where heartbeats go (stun.proto). */
const HEARTBEAT_SUBJECT = 'nexodus.stun.heartbeat';

/** What the STUN server is made of. */
export interface StunModuleOptions {
  readonly config: StunConfig;
  /** Who opened it closes it after the module has stopped. The server answers whether the bus is up or not. */
  readonly bus: MessageBus;
  readonly clock: Clock;
  /** A number from 0 up to 1, such as `Math.random`, for the heartbeat's jitter. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly meter: Meter;
}

/** A STUN service, and where its sockets are. */
export interface StunModule extends ServiceModule {
  /** Addresses that are bound, with the ports they got; empty while it does not run. */
  readonly addresses: readonly ListenAddress[];
}

/** Builds the STUN server: it reflects addresses, and keeps nothing. Any number of instances may run. */
export function createStunModule(options: StunModuleOptions): StunModule {
  const { config, bus, clock, random, logger } = options;
  const limit = config.source_limit;
  const sockets = new StunSockets({
    listen: config.listen,
    discovery: config.discovery,
    threads: config.threads,
    limit: {
      ratePerSecond: limit.rate_per_second,
      burst: limit.burst,
      tableSize: limit.table_size,
    },
    clock,
    logger,
    onListening: (bound) => {
      logger.info({ listen: bound.map(formatSocketAddress) }, 'STUN server listens');
      if (addressesForClients(config, bound).length > 0) return;
      logger.warn({}, 'clients are told of no address: set stun.public_addresses');
    },
  });
  observeStun(options.meter, () => sockets.counts());
  const instanceId = randomUUID();
  const load = new LoadMeter(clock.monotonicMs());
  const heartbeat = createHeartbeat({
    name: 'stun heartbeat',
    bus,
    subject: HEARTBEAT_SUBJECT,
    message: () => {
      const addresses = addressesForClients(config, sockets.addresses);
      const told = StunHeartbeat.fromPartial({
        instanceId,
        region: config.region,
        addresses,
        requestsPerSecond: load.read(sockets.counts(), clock.monotonicMs()),
      });
      return StunHeartbeat.encode(told).finish();
    },
    clock,
    random,
  });
  const bind = createBinder<'internal', ServiceIdentity>('internal');
  return {
    name: 'stun',
    parts: [sockets.part, heartbeat],
    internalServices: [
      bind(
        StunServiceDefinition,
        createStunService(() => sockets.counts()),
      ),
    ],
    internalCallers: { [`/${StunServiceDefinition.fullName}/*`]: ['apiserver'] },
    checkReady: async () => {
      if (sockets.addresses.length === 0) throw new Error('the STUN sockets are not bound');
    },
    get addresses() {
      return sockets.addresses;
    },
  };
}

/** Clients cannot reach a wildcard address: without a public one they are told none. */
function addressesForClients(config: StunConfig, bound: readonly ListenAddress[]): string[] {
  const reachable = bound.filter(({ host }) => addressKind(parseIpAddress(host)) !== 'unspecified');
  const told = config.public_addresses.length > 0 ? config.public_addresses : reachable;
  return told.map(formatSocketAddress);
}
