/** A fresh look at everything that the agent can know of its place in the network. */
import { isIP } from 'node:net';
import type { Clock } from '@nexodus/clock';
import type { IpFamily } from '@nexodus/netip';
import { openPortSocket, type PortSocket } from '../relay/port-socket.ts';
import type { KnownRelay } from '../relay/core/relay-directory.ts';
import type { RelayAccess } from '../relay/relay-attachment.ts';
import { proxyTo } from '../service-access/proxy-settings.ts';
import { checkRelays } from './check-relays.ts';
import type { NetworkPicture } from './core/network-picture.ts';
import type {
  FamilyReport,
  NetworkReport,
  PathMtu,
  RelayReport,
  Udp443,
} from './core/network-report.ts';
import type { Place } from './core/nat-verdict.ts';
import { NO_SERVERS, readPlaces, type StunServers } from './core/stun-servers.ts';
import type { HostView } from './host-view.ts';
import { runNatCheck } from './run-nat-check.ts';
import { StunExchange } from './stun-exchange.ts';

/** What a check needs. */
export interface NetworkCheckOptions {
  readonly view: HostView;
  readonly picture: NetworkPicture;
  readonly portSocket: PortSocket;
  readonly tunnelPort: number;
  /** Whether the socket sends from the tunnel's port. */
  readonly isTunnelPort: boolean;
  /** Undefined before the service said which there are. */
  readonly servers: StunServers | undefined;
  readonly relays: readonly KnownRelay[];
  /** Empty for none. */
  readonly homeRelayId: string;
  readonly access: RelayAccess;
  readonly clock: Clock;
  /** Ends the check early. */
  readonly signal: AbortSignal;
}

/** Checks; takes up to 6 s. Rejects only where the machine's network cannot be read, with a DataplaneError. */
export async function checkNetwork(options: NetworkCheckOptions): Promise<NetworkReport> {
  const { access, clock, picture, portSocket, relays } = options;
  const fresh = await openPortSocket();
  const exchange = new StunExchange(portSocket, clock);
  try {
    const [ipv4, ipv6, checked] = await Promise.all([
      checkFamily(4, fresh, options),
      checkFamily(6, fresh, options),
      checkRelays({ ...options, exchange }),
    ]);
    const [proxy] = relays.flatMap((relay) => proxyTo(access.proxies, relay) ?? []);
    return {
      isMapKnown: options.servers !== undefined,
      tunnelPort: options.tunnelPort,
      isTunnelPort: options.isTunnelPort,
      ipv4,
      ipv6,
      ownAddresses: picture.own.usable,
      relays: checked,
      udp443: judgeUdp443(checked, [ipv4, ipv6], options),
      mtu: await readMtu(checked, options),
      proxy: proxy?.origin ?? '',
    };
  } finally {
    exchange.close();
    fresh.close();
  }
}

async function checkFamily(
  family: IpFamily,
  fresh: PortSocket,
  options: NetworkCheckOptions,
): Promise<FamilyReport> {
  const { clock, isTunnelPort, picture, portSocket, signal, tunnelPort, view } = options;
  const known = (family === 4 ? options.servers?.ipv4 : options.servers?.ipv6) ?? [];
  const own = picture.own.usable.filter((address) => address.family === family);
  const [first] = known;
  const socketPort = family === 4 ? portSocket.ports.ipv4 : portSocket.ports.ipv6;
  const hasRoute = first === undefined || (await view.routeTo(first.address)) !== null;
  const isUsable = own.length > 0 && hasRoute && socketPort !== undefined;
  const verdict = await runNatCheck({
    plan: {
      servers: isUsable ? known : [],
      contacted: new Set(options.relays.flatMap(({ host }) => (isIP(host) === 0 ? [] : [host]))),
      ownAddresses: new Set(own.map(({ address }) => address)),
      localPort: isTunnelPort ? tunnelPort : (socketPort ?? 0),
    },
    main: portSocket,
    fresh,
    clock,
    signal,
  });
  return { isUsable, verdict };
}

const HTTPS_PORT = 443;

function judgeUdp443(
  relays: readonly RelayReport[],
  families: readonly FamilyReport[],
  { servers = NO_SERVERS }: NetworkCheckOptions,
): Udp443 {
  const is443 = ({ port }: Place): boolean => port === HTTPS_PORT;
  const isSeen = families.some(({ verdict }) => verdict.mapped.some(({ server }) => is443(server)));
  const asked = relays.map(({ udpPlaces, udpRoundTripMs }) => ({
    isThere: readPlaces(udpPlaces).some(is443),
    isAnswered: udpRoundTripMs !== undefined,
  }));
  if (isSeen || asked.some(({ isThere, isAnswered }) => isThere && isAnswered)) return 'passes';
  const [ipv4, ipv6] = families;
  const isKnown =
    (ipv4?.isUsable === true && servers.ipv4.some(is443)) ||
    (ipv6?.isUsable === true && servers.ipv6.some(is443));
  return isKnown || asked.some(({ isThere }) => isThere) ? 'blocked' : 'no-server';
}

/** Towards the home relay, else the nearest, else a STUN server. */
async function readMtu(
  relays: readonly RelayReport[],
  { picture, servers = NO_SERVERS, view }: NetworkCheckOptions,
): Promise<PathMtu | undefined> {
  const byHome = relays.toSorted((a, b) => Number(b.isHome) - Number(a.isHome));
  const hosts = byHome.flatMap(({ udpPlaces, origin }) => [
    ...readPlaces(udpPlaces).map(({ address }) => address),
    new URL(origin).hostname.replaceAll(/[[\]]/g, ''),
  ]);
  const others = [...servers.ipv4, ...servers.ipv6].map(({ address }) => address);
  for (const address of [...hosts, ...others].filter((host) => isIP(host) !== 0)) {
    const route = await view.routeTo(address);
    const link = picture.interfaces.find(({ name }) => name === route?.interfaceName);
    if (route === null || link === undefined) continue;
    return { mtuBytes: route.mtuBytes ?? link.mtuBytes, interfaceName: link.name, address };
  }
  return undefined;
}
