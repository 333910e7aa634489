import { canonicalCidr, isIpv6Cidr } from './core/cidr.ts';
import type { FirewallPlan } from './core/device-plan.ts';
import type { NetworkChange, PeerChanges } from './core/operation.ts';
import { without } from './core/text-set.ts';
import { DataplaneError } from './dataplane-error.ts';
import type { Firewall } from './firewall.ts';
import type { HostNetwork, LocalAddress, OnLinkPrefix } from './host-network.ts';
import { interfaceTaken, portTaken } from './interface-ownership.ts';
import type { PortShare, SharedPorts } from './port-share.ts';
import type { Tunnel, TunnelPeer } from './tunnel.ts';

/** The ports of one machine in memory, and the hand of whoever else works on that machine. */
export interface MemoryHost {
  readonly tunnel: Tunnel;
  readonly network: HostNetwork;
  readonly firewall: Firewall;
  readonly portShare: PortShare;
  /** Does what others do to a machine behind the data plane's back. */
  readonly meddle: {
    /** The tunnel interface vanishes, as when its process dies. */
    removeInterface(): void;
    /** Something else owns the tunnel's interface name. */
    takeInterface(): void;
    /** Another socket holds a UDP port. */
    takePort(port: number): void;
    /** The machine joins a network. */
    joinNetwork(prefix: OnLinkPrefix, address?: LocalAddress): void;
    /** A peer sends from another endpoint, after a handshake at that instant. */
    roam(publicKey: string, endpoint: string, at: Date): void;
    removeTable(): void;
    /** Nobody can give the machine an IPv6 address any more. */
    switchIpv6Off(): void;
    changeRules(): void;
    /** Adds a route through the tunnel interface. */
    addRoute(prefix: string): void;
    /** The next calls of that port's method throw this error, until called with null. */
    fail(method: MemoryFault, error: DataplaneError | null): void;
  };
}

/** The methods of a MemoryHost that can be made to fail. */
export type MemoryFault = 'applyPeerChanges' | 'change' | 'replace' | 'update' | 'create';

interface MemoryLink {
  readonly index: number;
  isOurs: boolean;
  privateKey: string;
  listenPort: number;
  mtuBytes: number;
  isUp: boolean;
  addresses: string[];
  routes: string[];
  peers: Map<string, TunnelPeer>;
}

interface MemoryMachine {
  link: MemoryLink | null;
  /** Index of the newest interface. */
  lastIndex: number;
  table: { plan: FirewallPlan; isIntact: boolean } | null;
  shared: SharedPorts | null;
  hasIpv6: boolean;
  readonly takenPorts: Set<number>;
  readonly onLink: OnLinkPrefix[];
  readonly local: LocalAddress[];
  readonly faults: Map<MemoryFault, DataplaneError>;
  readonly watchers: Set<() => void>;
}

/** The port that the memory tunnel binds when it may choose. */
const CHOSEN_PORT = 49_152;

/**
 * A machine in memory: the three ports over one state, obeying the same contracts as the kernel's adapters, WireGuard's
 * rule included that a prefix given to one peer leaves the peer which had it.
 */
export function createMemoryHost(interfaceName = 'nx0'): MemoryHost {
  const machine: MemoryMachine = {
    link: null,
    lastIndex: 0,
    table: null,
    shared: null,
    hasIpv6: true,
    takenPorts: new Set(),
    onLink: [],
    local: [],
    faults: new Map(),
    watchers: new Set(),
  };
  return {
    tunnel: memoryTunnel(machine, interfaceName),
    network: memoryNetwork(machine, interfaceName),
    firewall: memoryFirewall(machine),
    portShare: {
      install: async (ports) => void (machine.shared = ports),
      remove: async () => void (machine.shared = null),
    },
    meddle: memoryMeddler(machine),
  };
}

function memoryTunnel(machine: MemoryMachine, interfaceName: string): Tunnel {
  const ownLink = () => (machine.link?.isOurs === true ? machine.link : null);
  const existing = () => ownLink() ?? missing(interfaceName);
  const claim = (listenPort: number) => {
    if (machine.takenPorts.has(listenPort)) throw portTaken(listenPort, 'another socket');
    return listenPort;
  };
  return {
    technology: 'memory',
    create: async ({ privateKey, listenPort }) => {
      throwFault(machine, 'create');
      if (machine.link !== null) throw interfaceTaken(interfaceName, 'it is in use');
      machine.link = newLink(machine, privateKey.exportBase64(), claim(listenPort));
    },
    adopt: async (privateKey) => {
      if (machine.link === null) return false;
      if (machine.link.isOurs && machine.link.privateKey === privateKey.exportBase64()) return true;
      throw interfaceTaken(interfaceName, 'it has another key');
    },
    setListenPort: async (listenPort) => {
      existing().listenPort = claim(listenPort);
    },
    applyPeerChanges: async (changes) => {
      throwFault(machine, 'applyPeerChanges');
      changePeers(existing().peers, changes);
    },
    read: async () => {
      const link = ownLink();
      return link && { listenPort: boundPort(link), peers: [...link.peers.values()] };
    },
    remove: async () => {
      if (machine.link?.isOurs === false) throw interfaceTaken(interfaceName, 'it has no mark');
      machine.link = null;
    },
  };
}

function newLink(machine: MemoryMachine, privateKey: string, listenPort: number): MemoryLink {
  machine.lastIndex += 1;
  return {
    index: machine.lastIndex,
    isOurs: true,
    privateKey,
    listenPort,
    mtuBytes: 1420,
    isUp: false,
    addresses: [],
    routes: [],
    peers: new Map(),
  };
}

function boundPort(link: MemoryLink): number {
  return link.listenPort === 0 && link.isUp ? CHOSEN_PORT : link.listenPort;
}

function changePeers(peers: Map<string, TunnelPeer>, changes: PeerChanges): void {
  for (const key of changes.remove) peers.delete(key);
  for (const { publicKey, allowedIps, endpoint, persistentKeepaliveSeconds } of changes.set) {
    for (const [key, other] of peers) {
      peers.set(key, { ...other, allowedIps: without(other.allowedIps, allowedIps) });
    }
    const before = peers.get(publicKey) ?? { latestHandshakeAt: null, rxBytes: 0, txBytes: 0 };
    peers.set(publicKey, {
      ...before,
      publicKey,
      allowedIps: [...allowedIps],
      endpoint: endpoint ?? peers.get(publicKey)?.endpoint,
      persistentKeepaliveSeconds,
    });
  }
}

function memoryNetwork(machine: MemoryMachine, interfaceName: string): HostNetwork {
  return {
    read: async () => {
      if (machine.link === null) return null;
      const { index, mtuBytes, isUp, addresses, routes } = machine.link;
      return { index, mtuBytes, isUp, addresses: [...addresses], routes: [...routes] };
    },
    hasIpv6: async () => machine.hasIpv6,
    change: async (change) => {
      throwFault(machine, 'change');
      const added = [...(change.addAddresses ?? []), ...(change.addRoutes ?? [])];
      if (!machine.hasIpv6 && added.some(isIpv6Cidr)) throw noIpv6();
      changeNetwork(machine.link ?? missing(interfaceName), change, interfaceName);
      for (const tell of machine.watchers) tell();
    },
    onLinkPrefixes: async () => [...machine.onLink],
    localAddresses: async () => [...machine.local],
    watch: async (onChange, signal) => {
      if (signal.aborted) return;
      machine.watchers.add(onChange);
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      machine.watchers.delete(onChange);
    },
  };
}

function changeNetwork(link: MemoryLink, change: NetworkChange, interfaceName: string): void {
  link.routes = without(link.routes, change.removeRoutes ?? []);
  link.addresses = without(link.addresses, change.removeAddresses ?? []);
  link.mtuBytes = change.mtuBytes ?? link.mtuBytes;
  link.addresses = [...new Set([...link.addresses, ...(change.addAddresses ?? [])])];
  link.isUp ||= change.up === true;
  const addRoutes = change.addRoutes ?? [];
  if (addRoutes.length > 0 && !link.isUp) {
    const cause = `\`ip route replace\` failed: ${interfaceName} is down.`;
    throw new DataplaneError('command-failed', cause, 'Bring the interface up.');
  }
  link.routes = [...new Set([...link.routes, ...addRoutes])];
}

function memoryFirewall(machine: MemoryMachine): Firewall {
  return {
    replace: async (firewall) => {
      throwFault(machine, 'replace');
      machine.table = { plan: firewall, isIntact: true };
    },
    update: async ({ remove, add }) => {
      throwFault(machine, 'update');
      const { table } = machine;
      if (table === null) throw noTable();
      const update = (group: keyof FirewallPlan) => {
        if (without(remove[group], table.plan[group]).length > 0) throw noTable();
        return [...new Set([...without(table.plan[group], remove[group]), ...add[group]])];
      };
      table.plan = {
        ownAddresses: update('ownAddresses'),
        peerAddresses: update('peerAddresses'),
        peerPrefixes: update('peerPrefixes'),
      };
    },
    read: async () => {
      const drops = { inputPackets: 0, outputPackets: 0, forwardPackets: 0, strayPackets: 0 };
      const { table } = machine;
      return table && { ...table.plan, isIntact: table.isIntact, drops };
    },
    remove: async () => {
      machine.table = null;
    },
  };
}

function memoryMeddler(machine: MemoryMachine): MemoryHost['meddle'] {
  return {
    removeInterface: () => {
      machine.link = null;
    },
    takeInterface: () => {
      machine.link = { ...newLink(machine, '', 0), isOurs: false };
    },
    takePort: (port) => void machine.takenPorts.add(port),
    joinNetwork: ({ interfaceName, prefix }, address) => {
      machine.onLink.push({ interfaceName, prefix: canonicalCidr(prefix) ?? prefix });
      if (address !== undefined) machine.local.push(address);
      for (const tell of machine.watchers) tell();
    },
    roam: (publicKey, endpoint, at) => {
      const peer = machine.link?.peers.get(publicKey);
      if (peer === undefined) return;
      machine.link?.peers.set(publicKey, { ...peer, endpoint, latestHandshakeAt: at });
    },
    removeTable: () => {
      machine.table = null;
    },
    switchIpv6Off: () => {
      machine.hasIpv6 = false;
    },
    changeRules: () => {
      if (machine.table !== null) machine.table.isIntact = false;
    },
    addRoute: (prefix) => void machine.link?.routes.push(prefix),
    fail: (method, error) => {
      if (error === null) machine.faults.delete(method);
      else machine.faults.set(method, error);
    },
  };
}

function throwFault(machine: MemoryMachine, method: MemoryFault): void {
  const fault = machine.faults.get(method);
  if (fault !== undefined) throw fault;
}

function missing(interfaceName: string): never {
  const cause = `There is no interface ${interfaceName}.`;
  throw new DataplaneError('tunnel-failed', cause, 'Restart nexd.');
}

function noIpv6(): DataplaneError {
  const cause = '`ip address replace` failed: RTNETLINK answers: Permission denied.';
  return new DataplaneError('command-failed', cause, 'Switch IPv6 on.');
}

function noTable(): DataplaneError {
  return new DataplaneError('command-failed', '`nft -f -` failed: No such file.', 'Restart nexd.');
}
