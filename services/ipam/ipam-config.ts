import { databaseSettings, processSettings } from '@nexodus/service-process';
import { z } from 'zod';

/** Settings of ipam. */
export const ipamConfig = z.object({
  /**
   * How long released addresses are kept from other owners, in seconds: flows and caches that still mean the owner
   * before must have ended by then. Default 10 minutes.
   */
  quarantine_seconds: z.int().min(0).max(86_400).default(600),
  /** Time between two removals of ended leases and quarantines, in seconds. They end on time whatever this says. */
  expiry_interval_seconds: z.int().min(1).max(3_600).default(30),
});

/** Settings of ipam after validation. */
export type IpamConfig = z.output<typeof ipamConfig>;

/** Settings of an ipam process. */
export const ipamProcessSettings = processSettings.extend({
  database: databaseSettings,
  ipam: ipamConfig.prefault({}),
});
