/**
 * A small internet: one public segment with any number of servers, and customers, each with a LAN of its own behind an
 * access of some kind. Everything is a host or a switch of one virtual network, so links can be cut and counted as
 * everywhere else. Public addresses are of the documentation prefixes (RFC 5737, RFC 3849).
 */
import type { AccessKind } from './access-kind.ts';
import { startHttpProxy } from './http-proxy.ts';
import type { HttpProxy, HttpProxyOptions } from './http-proxy.ts';
import { openIpv6Router, openNatRouter, openWall } from './nat-router.ts';
import type { NatRouter, RouterPlace } from './nat-router.ts';
import type { NatKind } from './nat-ruleset.ts';
import type { VirtualHost } from './virtual-host.ts';
import type { VirtualNetwork } from './virtual-network.ts';
import type { VirtualSwitch } from './virtual-switch.ts';

/** How a carrier translates the addresses of its customers. */
export type CarrierOptions = {
  /** Default `apdm-apdf`. */
  readonly kind?: NatKind;
  /** Whether two customers reach each other's mappings; not with `apdm-apdf`. Default false. */
  readonly hairpin?: boolean;
};

/** A carrier's router and the segment of its customers in 100.64.0.0/10. */
export interface Carrier {
  readonly segment: VirtualSwitch;
  readonly router: NatRouter;
}

/** What a customer has. */
export type SiteOptions = {
  readonly access: AccessKind;
  /** Hairpinning of the customer's own router; for `eim-*` and `carrier-grade`. Default false. */
  readonly hairpin?: boolean;
  /** The carrier of a `carrier-grade` site, to have several customers on one. Default: one of its own. */
  readonly carrier?: Carrier;
  /** Prefix of an IPv4 LAN; customers may have the same. Default: `192.168.<n>.0/24`, another for each. */
  readonly ipv4?: string;
  /** Credentials that the proxy of `http-proxy-only` asks for. Default: none. */
  readonly proxyCredentials?: HttpProxyOptions['credentials'];
};

/** A customer. */
export interface Site {
  readonly name: string;
  readonly access: AccessKind;
  /** Where its machines are; the public segment itself when the access is `open`. */
  readonly lan: VirtualSwitch;
  /** The routers that translate, from the machines outwards. */
  readonly routers: readonly NatRouter[];
  /** The only way out of an `http-proxy-only` site. */
  readonly proxy: HttpProxy | undefined;
  /** Adds a machine; name as for all hosts of the network. */
  host(name: string): Promise<VirtualHost>;
}

/** See the essay above. */
export interface Internet {
  /** The public segment, both families. */
  readonly segment: VirtualSwitch;
  /** Adds a public machine with this many addresses of each family (default 1), one to a link. */
  host(name: string, options?: { readonly addresses?: number }): Promise<VirtualHost>;
  /** Adds a carrier. Names have at most 7 characters. */
  carrier(name: string, options?: CarrierOptions): Promise<Carrier>;
  /** Adds a customer. Names have at most 7 characters: routers are called after them. */
  site(name: string, options: SiteOptions): Promise<Site>;
}

/** Prefixes of the public segment; 244 IPv4 addresses are free. */
const PUBLIC_IPV4 = '203.0.113.0/24';
const PUBLIC_IPV6 = '2001:db8::/64';
/** Of the shared address space of carriers (RFC 6598); the segments of two carriers never meet. */
const CARRIER_IPV4 = '100.64.0.0/24';

/** Adds the public segment and its core router to a network; at most one to a network. */
export async function createInternet(network: VirtualNetwork): Promise<Internet> {
  const segment = await network.switch('internet', { ipv4: PUBLIC_IPV4, ipv6: PUBLIC_IPV6 });
  const core = await network.host('core', [{ switch: segment, isGateway: true }], {
    forwarding: true,
  });
  return new SimulatedInternet(network, segment, core);
}

/** What an access gives a site. */
type Access = Pick<Site, 'routers' | 'proxy'> & { readonly firewall?: VirtualHost };

const NONE: Access = { routers: [], proxy: undefined };

class SimulatedInternet implements Internet {
  readonly segment: VirtualSwitch;
  readonly #network: VirtualNetwork;
  readonly #core: VirtualHost;
  #sites = 0;

  constructor(network: VirtualNetwork, segment: VirtualSwitch, core: VirtualHost) {
    this.#network = network;
    this.segment = segment;
    this.#core = core;
  }

  host(name: string, options: { readonly addresses?: number } = {}): Promise<VirtualHost> {
    const attachments = Array.from({ length: options.addresses ?? 1 }, () => ({
      switch: this.segment,
    }));
    return this.#network.host(name, attachments);
  }

  async carrier(name: string, options: CarrierOptions = {}): Promise<Carrier> {
    const { kind = 'apdm-apdf', hairpin = false } = options;
    const segment = await this.#network.switch(`${name}-c`, { ipv4: CARRIER_IPV4 });
    const place = { outside: this.segment, inside: segment };
    const router = await openNatRouter(this.#network, `${name}-cr`, { ...place, kind, hairpin });
    return { segment, router };
  }

  async site(name: string, options: SiteOptions): Promise<Site> {
    const { access } = options;
    this.#sites += 1;
    const number = this.#sites;
    const lan = await this.#lan(name, options, number);
    const opened = await this.#open(name, lan, options);
    if (opened.firewall !== undefined) await this.#announce(siteIpv6(number), opened.firewall);
    const host = (machine: string): Promise<VirtualHost> =>
      this.#network.host(machine, [{ switch: lan }]);
    return { name, access, lan, routers: opened.routers, proxy: opened.proxy, host };
  }

  async #lan(name: string, options: SiteOptions, number: number): Promise<VirtualSwitch> {
    if (options.access === 'open') return this.segment;
    const prefixes =
      options.access === 'ipv6-only'
        ? { ipv6: siteIpv6(number) }
        : { ipv4: options.ipv4 ?? `192.168.${number}.0/24` };
    return await this.#network.switch(name, prefixes);
  }

  async #open(name: string, lan: VirtualSwitch, options: SiteOptions): Promise<Access> {
    const { access, hairpin = false } = options;
    const router = `${name}-r`;
    const place: RouterPlace = { outside: this.segment, inside: lan };
    const translated = async (kind: NatKind, outside = this.segment): Promise<NatRouter> =>
      await openNatRouter(this.#network, router, {
        ...place,
        outside,
        kind,
        hairpin,
        isUdpBlocked: access === 'udp-blocked',
      });
    switch (access) {
      case 'open':
        return NONE;
      case 'carrier-grade': {
        const carrier = options.carrier ?? (await this.carrier(name));
        const own = await translated('eim-apdf', carrier.segment);
        return { routers: [own, carrier.router], proxy: undefined };
      }
      case 'ipv6-only':
        return { ...NONE, firewall: await openIpv6Router(this.#network, router, place) };
      case 'http-proxy-only':
        return { routers: [], proxy: await this.#proxy(router, place, options) };
      case 'udp-blocked':
        return { routers: [await translated('eim-apdf')], proxy: undefined };
      default:
        return { routers: [await translated(access)], proxy: undefined };
    }
  }

  /** Public machines answer to a LAN's IPv6 addresses through the core. */
  async #announce(prefix: string, router: VirtualHost): Promise<void> {
    await this.#core.run('ip', ['route', 'add', prefix, 'via', router.ipv6]);
  }

  async #proxy(name: string, place: RouterPlace, options: SiteOptions): Promise<HttpProxy> {
    const wall = await openWall(this.#network, name, place);
    const address = place.inside.ipv4Gateway;
    if (address === undefined) throw new RangeError('a proxy needs an IPv4 LAN');
    return await startHttpProxy(wall, { address, credentials: options.proxyCredentials });
  }
}

/** A /64 of each site's own, apart from the public segment. */
function siteIpv6(number: number): string {
  return `2001:db8:1:${number.toString(16)}::/64`;
}
