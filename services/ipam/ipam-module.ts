import type { Clock } from '@nexodus/clock';
import { IpamServiceDefinition } from '@nexodus/contracts/ipam';
import type { Database } from '@nexodus/database';
import { createBinder, type ServiceIdentity } from '@nexodus/rpc';
import type { ServiceModule } from '@nexodus/service-process';
import type { Logger } from '@nexodus/telemetry';
import type { Meter } from '@opentelemetry/api';
import { createAddressBook } from './address-book.ts';
import { initialSchema } from './initial-schema.ts';
import type { IpamConfig } from './ipam-config.ts';
import { createIpamMetrics } from './ipam-metrics.ts';
import { createIpamService } from './ipam-service.ts';
import { createLeaseReaper } from './lease-reaper.ts';
import { createPostgresLeaseStore } from './postgres-lease-store.ts';

/** What ipam is made of. */
export interface IpamModuleOptions {
  readonly config: IpamConfig;
  /** Opened on the schema of ipam; who opened it closes it after the module has stopped. */
  readonly database: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly meter: Meter;
}

/** Builds ipam: prefixes and addresses, on PostgreSQL. Any number of replicas may share a schema. */
export function createIpamModule(options: IpamModuleOptions): ServiceModule {
  const { config, database, clock, logger } = options;
  const metrics = createIpamMetrics(options.meter);
  const store = createPostgresLeaseStore(database);
  const book = createAddressBook({
    store,
    clock,
    quarantineMs: config.quarantine_seconds * 1_000,
  });
  const reaper = createLeaseReaper({
    store,
    clock,
    logger,
    intervalMs: config.expiry_interval_seconds * 1_000,
    onExpired: (counts) => metrics.expired(counts),
  });
  const schema = {
    name: 'ipam schema',
    start: async () => void (await database.migrate([initialSchema])),
    stop: () => Promise.resolve(),
  };
  const bind = createBinder<'internal', ServiceIdentity>('internal');
  return {
    name: 'ipam',
    parts: [schema, reaper],
    internalServices: [
      bind(IpamServiceDefinition, createIpamService({ store, book, clock, metrics })),
    ],
    internalCallers: { [`/${IpamServiceDefinition.fullName}/*`]: ['apiserver'] },
    checkReady: async () => {
      if (!(await database.healthy())) throw new Error('the database does not answer');
    },
  };
}
