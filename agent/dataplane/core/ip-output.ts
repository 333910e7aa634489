import { z } from 'zod';
import { unreadable } from '../dataplane-error.ts';
import { canonicalCidr } from './cidr.ts';

/** An interface as `ip -json -details address show` shows it. */
export interface IpInterface {
  readonly index: number;
  readonly name: string;
  readonly mtuBytes: number;
  readonly isUp: boolean;
  /** Whether something is at the other end of the link; an interface without keeps its addresses. */
  readonly hasCarrier: boolean;
  readonly isLoopback: boolean;
  /** Whether packets leave it into some tunnel: WireGuard, TUN/TAP, GRE and their kind. */
  readonly isTunnel: boolean;
  /** The driver, for instance `wireguard` or `tun`; empty for hardware. */
  readonly kind: string;
  /** The interface's `ifalias`; empty where there is none. */
  readonly alias: string;
  readonly addresses: readonly IpAddress[];
}

/** An address of an interface. */
export interface IpAddress {
  readonly address: string;
  readonly prefixLength: number;
  readonly isIpv6: boolean;
  /** 169.254.0.0/16 or fe80::/10. */
  readonly isLinkLocal: boolean;
  /** Not tentative, not failed in duplicate detection, not deprecated. */
  readonly isUsable: boolean;
  /** An IPv6 address that the system replaces by itself (RFC 8981). */
  readonly isTemporary: boolean;
  /** How much longer it is preferred for new connections; Infinity: for good. */
  readonly preferredSeconds: number;
}

const addressSchema = z.object({
  family: z.string(),
  local: z.string().optional(),
  prefixlen: z.number(),
  scope: z.string().optional(),
  tentative: z.boolean().optional(),
  dadfailed: z.boolean().optional(),
  deprecated: z.boolean().optional(),
  temporary: z.boolean().optional(),
  preferred_life_time: z.number().optional(),
});
const interfaceSchema = z.object({
  ifindex: z.number(),
  ifname: z.string(),
  mtu: z.number(),
  flags: z.array(z.string()),
  link_type: z.string().optional(),
  ifalias: z.string().optional(),
  linkinfo: z.object({ info_kind: z.string().optional() }).optional(),
  addr_info: z.array(addressSchema).default([]),
});
const routeSchema = z.object({ dst: z.string(), protocol: z.string().optional() });

/** Drivers whose interfaces are tunnels, as `ip link` names them. */
const TUNNEL_KINDS: ReadonlySet<string> = new Set(
  'wireguard tun gre gretap ip6gre ip6gretap ipip sit ip6tnl vti vti6 xfrm geneve vxlan'.split(' '),
);

/** Reads `ip -json -details address show`. Throws only DataplaneError(`unreadable-output`). */
export function parseIpInterfaces(text: string): IpInterface[] {
  return parseArray(text, interfaceSchema).map((entry) => {
    const kind = entry.linkinfo?.info_kind ?? '';
    return {
      index: entry.ifindex,
      name: entry.ifname,
      mtuBytes: entry.mtu,
      isUp: entry.flags.includes('UP'),
      hasCarrier: !entry.flags.includes('NO-CARRIER'),
      isLoopback: entry.flags.includes('LOOPBACK'),
      isTunnel: TUNNEL_KINDS.has(kind) || entry.link_type === 'none',
      kind,
      alias: entry.ifalias ?? '',
      addresses: entry.addr_info.flatMap(parseAddress),
    };
  });
}

/**
 * Reads `ip -json -4|-6 route show dev ...`: the canonical destinations of the routes that the kernel did not make by
 * itself. Throws only DataplaneError(`unreadable-output`).
 */
export function parseIpRoutes(text: string, family: '-4' | '-6'): string[] {
  return parseArray(text, routeSchema)
    .filter((route) => route.protocol !== 'kernel')
    .map((route) => {
      const everywhere = family === '-4' ? '0.0.0.0/0' : '::/0';
      const cidr = route.dst === 'default' ? everywhere : canonicalCidr(route.dst);
      if (cidr === null) throw unreadable('ip', 'a route in another form');
      return cidr;
    });
}

function parseArray<T extends z.ZodType>(text: string, schema: T): z.infer<T>[] {
  try {
    return z.array(schema).parse(text.trim() === '' ? [] : JSON.parse(text));
  } catch (cause) {
    throw unreadable('ip', 'no list in JSON', { cause });
  }
}

/** What the kernel says for "for good". */
const FOREVER_SECONDS = 0xffff_ffff;

function preferredSeconds(said = FOREVER_SECONDS): number {
  return said === FOREVER_SECONDS ? Infinity : said;
}

function parseAddress(entry: z.infer<typeof addressSchema>): IpAddress[] {
  const isIpv6 = entry.family === 'inet6';
  if (entry.local === undefined || canonicalCidr(`${entry.local}/${entry.prefixlen}`) === null) {
    return [];
  }
  return [
    {
      address: entry.local,
      prefixLength: entry.prefixlen,
      isIpv6,
      isLinkLocal: isIpv6 ? entry.scope === 'link' : entry.local.startsWith('169.254.'),
      isUsable: ![entry.tentative, entry.dadfailed, entry.deprecated].includes(true),
      isTemporary: entry.temporary === true,
      preferredSeconds: preferredSeconds(entry.preferred_life_time),
    },
  ];
}
