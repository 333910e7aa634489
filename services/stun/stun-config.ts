import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { listenAddress } from '@nexodus/config';
import { natsSettings, processSettings } from '@nexodus/service-process';
import { z } from 'zod';

const socketAddress = listenAddress.refine(({ host }) => isIP(host) !== 0, {
  message: 'must be an IP address and a port, such as 192.0.2.1:3478 or [2001:db8::1]:3478',
});

/** Settings of the STUN server. */
export const stunConfig = z.object({
  /**
   * UDP addresses it serves, IPv4 and IPv6 apart: [::] takes no IPv4. Port 0 lets the system choose. A machine with
   * several addresses of a family lists each: from a wildcard the system may answer from another than was asked, and
   * clients drop that.
   */
  listen: z.array(socketAddress).min(1).prefault(['127.0.0.1:3478']),
  /**
   * Addresses that clients reach it at, where they differ from `listen`: behind a NAT, or with a wildcard address.
   * Empty for the addresses it listens on.
   */
  public_addresses: z
    .array(socketAddress.refine(({ port }) => port > 0, { message: 'must have a port' }))
    .default([]),
  /** Threads that answer, among which the system spreads the sources. */
  threads: z.int().min(1).max(256).default(availableParallelism()),
  /**
   * Second port and addresses for NAT discovery (RFC 5780); clients must reach all of them as they are. Absent: no
   * discovery.
   */
  discovery: z
    .object({
      /** Second port of every address. */
      port: z.int().min(1).max(65_535),
      /** A second address of this machine for each family that has one: without it no change of address is answered. */
      addresses: z
        .array(z.string().refine((text) => isIP(text) !== 0, { message: 'must be an IP address' }))
        .default([]),
    })
    .optional(),
  /** Region that it tells agents it is in; empty for none. */
  region: z.string().max(63).default(''),
  /** What one source may ask: an IPv4 address, often a carrier's NAT with many clients, or an IPv6 /64. */
  source_limit: z
    .object({
      /** Requests per second. */
      rate_per_second: z.number().positive().max(1_000_000).default(100),
      /** Requests at once after a pause. */
      burst: z.int().min(1).max(1_000_000).default(200),
      /** Sources told apart at the same time, 16 bytes each; rounded up to a power of two. */
      table_size: z.int().min(1).max(10_000_000).default(65_536),
    })
    .prefault({}),
});

/** Settings of the STUN server after validation. */
export type StunConfig = z.output<typeof stunConfig>;

/** Settings of a STUN server process. */
export const stunProcessSettings = processSettings.extend({
  stun: stunConfig.prefault({}),
  nats: natsSettings,
});
