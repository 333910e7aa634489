import { randomUUID } from 'node:crypto';
import type { Clock } from '@nexodus/clock';
import { RelayHeartbeat, RelayServiceDefinition } from '@nexodus/contracts/relay';
import { createHeartbeat } from '@nexodus/heartbeat';
import type { Part } from '@nexodus/lifecycle';
import type { MessageBus } from '@nexodus/messaging';
import { createBinder, type ServiceIdentity } from '@nexodus/rpc';
import type { ServiceModule } from '@nexodus/service-process';
import type { Logger } from '@nexodus/telemetry';
import type { Meter } from '@opentelemetry/api';
import { type Capacity, freeSessions, noLanes } from './core/capacity.ts';
import type { RelayConfig } from './relay-config.ts';
import { observeRelay } from './relay-metrics.ts';
import { createRelayService } from './relay-service.ts';

/** Where heartbeats go (relay.proto). */
const HEARTBEAT_SUBJECT = 'nexodus.relay.heartbeat';

/** What the relay is made of. */
export interface RelayModuleOptions {
  readonly config: RelayConfig;
  /** Who opened it closes it after the module has stopped. */
  readonly bus: MessageBus;
  readonly clock: Clock;
  /** A number from 0 up to 1, such as `Math.random`, for the heartbeat's jitter. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly meter: Meter;
}

/**
 * Builds the relay. It has its place, its contract and its heartbeat, and no lanes: it opens no socket, takes no session
 * and carries no packet, and its figures say so.
 */
export function createRelayModule(options: RelayModuleOptions): ServiceModule {
  const { config, bus, clock, random, logger } = options;
  const current = (): Capacity => noLanes;
  observeRelay(options.meter, current);
  const instanceId = randomUUID();
  const heartbeat = createHeartbeat({
    name: 'relay heartbeat',
    bus,
    subject: HEARTBEAT_SUBJECT,
    message: () => {
      const told = RelayHeartbeat.fromPartial({
        instanceId,
        region: config.region,
        freeSessions: BigInt(freeSessions(current())),
      });
      return RelayHeartbeat.encode(told).finish();
    },
    clock,
    random,
  });
  let isBeating = false;
  const beating: Part = {
    name: heartbeat.name,
    start: async () => {
      logger.info({ capacity: current().capacity }, 'relay started');
      await heartbeat.start();
      isBeating = true;
    },
    stop: async () => {
      isBeating = false;
      await heartbeat.stop();
    },
  };
  const bind = createBinder<'internal', ServiceIdentity>('internal');
  return {
    name: 'relay',
    parts: [beating],
    internalServices: [bind(RelayServiceDefinition, createRelayService(current))],
    internalCallers: { [`/${RelayServiceDefinition.fullName}/*`]: ['apiserver'] },
    checkReady: async () => {
      if (!isBeating) throw new Error('the relay has not started');
    },
  };
}
