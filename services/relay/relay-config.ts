import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { listenAddress } from '@nexodus/config';
import { natsSettings, processSettings } from '@nexodus/service-process';
import { z } from 'zod';

const ipAddress = z.string().refine((text) => isIP(text) !== 0, {
  message: 'must be an IP address, such as 192.0.2.1 or 2001:db8::1',
});

const onePerFamily = z
  .array(ipAddress)
  .refine((addresses) => new Set(addresses.map(isIP)).size === addresses.length, {
    message: 'must hold at most one IPv4 and one IPv6 address',
  });

const port = z.int().min(1_024).max(65_535);

/** Settings of the UDP lane. */
const udpLaneConfig = z
  .object({
    /** Addresses of this machine that sessions get their ports on. Empty for that of `listen`. */
    addresses: onePerFamily.default([]),
    /** Addresses that devices reach those at, where they differ (behind a NAT that keeps ports); of the same families. */
    public_addresses: onePerFamily.default([]),
    /** Port of STUN, by which devices measure how far the relay is; 0 for none. */
    stun_port: z.int().min(0).max(65_535).default(3_480),
    /** A STUN server beside the relay that devices measure it by instead, such as 192.0.2.1:3478. */
    stun_addresses: z.array(z.string()).default([]),
    /** First port of sessions: each takes two of each family. */
    first_port: port.default(20_000),
    /** Threads that read and send what the kernel does not carry, each with its part of the ports; about one for each core. */
    threads: z.int().min(1).max(256).default(availableParallelism()),
    /** Whether the kernel may carry data of sessions: needs CAP_NET_ADMIN and nf_tables, else sockets carry all. */
    offload: z.boolean().default(true),
    /** Where it is written what forwarding was like before, for the case of a sudden end. */
    state_file: z.string().min(1).default('/run/nexodus-relay.json'),
    /** Last port of sessions. */
    last_port: port.default(59_999),
  })
  .refine(({ first_port: first, last_port: last }) => first < last, {
    message: 'last_port must be above first_port',
  });

/** Settings of the relay. */
export const relayConfig = z.object({
  /** Name by which devices know it, the same after a restart and no other relay's: letters, digits and hyphens. */
  id: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'must be a label, such as eu-1')
    .default('relay'),
  /** Region that it tells agents it is in; empty for none. */
  region: z.string().max(63).default(''),
  /** Where sessions are opened and the TLS lane is, over TLS: 443 is what firewalls let through. */
  listen: listenAddress.prefault('127.0.0.1:8444'),
  /** Origin that devices reach that at. Default: the address that it listens on. */
  public_url: z.url({ protocol: /^https$/ }).optional(),
  /** How long a relay that is told to stop waits for its devices to move to others, in seconds. */
  drain_seconds: z.int().min(0).max(600).default(10),
  udp: udpLaneConfig.prefault({}),
  limits: z
    .object({
      /** Devices that may be attached at once. */
      attachments: z.int().min(1).max(1_000_000).default(10_000),
      /** Connections at once from one IPv4 address or IPv6 /64, of 20,000 in all; a device has two, a site one address. */
      connections_per_source: z.int().min(1).max(20_000).default(2_000),
      /** Sessions of one organization at once. */
      sessions_per_organization: z.int().min(1).max(1_000_000).default(5_000),
      /** Sessions of one device at once. */
      sessions_per_device: z.int().min(1).max(1_000_000).default(256),
      /** Megabits per second that a session may send in each direction; 0 for no limit. */
      session_megabits_per_second: z.number().min(0).max(1_000_000).default(0),
      /**
       * Megabytes (10^6 bytes) that a session may carry in each lane; then its pair is refused until its grant has ended
       * (an hour at most). 0 for no limit.
       */
      session_megabytes: z.number().min(0).max(1_000_000_000).default(0),
    })
    .prefault({}),
});

/** Settings of the relay after validation. */
export type RelayConfig = z.output<typeof relayConfig>;

/** Settings of a relay process. */
export const relayProcessSettings = processSettings.extend({
  relay: relayConfig.extend({
    /** Certificate chain that devices are shown, PEM; of the CA that they trust the service by. */
    certificate_file: z.string().min(1),
    /** Its key, PEM. */
    key_file: z.string().min(1),
  }),
  /** Internal server of the apiserver: `host:port`, `[ipv6]:port` or `unix:/path`. */
  apiserver: z.object({ address: z.string().min(1) }),
  nats: natsSettings,
});
