import type { WireGuardPrivateKey } from '@nexodus/wireguard';
import type { Operation } from './core/operation.ts';
import type { Firewall } from './firewall.ts';
import type { HostNetwork } from './host-network.ts';
import type { Tunnel } from './tunnel.ts';

/** What operations are applied to. */
export interface DataplanePorts {
  readonly tunnel: Tunnel;
  readonly network: HostNetwork;
  readonly firewall: Firewall;
  /** The device's key, for the interface that an operation may create. */
  readonly privateKey: WireGuardPrivateKey;
}

/**
 * Applies operations in order. All of phase `tighten` are tried, whatever fails: closing one thing must not wait for
 * another. After any failure nothing of `build` and `loosen` follows. Throws the first error.
 */
export async function applyOperations(
  operations: readonly Operation[],
  ports: DataplanePorts,
): Promise<void> {
  const failures: unknown[] = [];
  for (const operation of operations) {
    if (failures.length > 0 && operation.phase !== 'tighten') break;
    try {
      await applyOperation(operation, ports);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

async function applyOperation(operation: Operation, ports: DataplanePorts): Promise<void> {
  switch (operation.kind) {
    case 'firewall-replace':
      return ports.firewall.replace(operation.firewall);
    case 'firewall-update':
      return ports.firewall.update(operation.change);
    case 'tunnel-create': {
      const { listenPort } = operation;
      return ports.tunnel.create({ privateKey: ports.privateKey, listenPort });
    }
    case 'tunnel-port':
      return ports.tunnel.setListenPort(operation.listenPort);
    case 'peers':
      return applyPeers(operation, ports.tunnel);
    case 'network':
      return ports.network.change(operation.change);
  }
}

/** A peer that has spoken may hold a session with this device, which would be lost: it is not begun anew. */
async function applyPeers(
  { changes, renew = [] }: Extract<Operation, { kind: 'peers' }>,
  tunnel: Tunnel,
): Promise<void> {
  if (renew.length === 0) return tunnel.applyPeerChanges(changes);
  const held = (await tunnel.read())?.peers ?? [];
  const silent = held.filter((peer) => peer.latestHandshakeAt === null && peer.rxBytes === 0);
  const begun = silent.map((peer) => peer.publicKey).filter((key) => renew.includes(key));
  return tunnel.applyPeerChanges({ ...changes, remove: [...changes.remove, ...begun] });
}
