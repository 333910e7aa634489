import type { DataplaneState, FirewallState, LinkState } from './dataplane-state.ts';
import type { DevicePlan, FirewallPlan, PlanPeer } from './device-plan.ts';
import type { NetworkChange, Operation, PeerSetting } from './operation.ts';
import { within, without } from './text-set.ts';

/**
 * The operations that turn what was observed into what is wanted; none when they agree.
 *
 * Their order fails closed, wherever it is cut short: first everything unwanted loses its way in (firewall, then
 * routes, then peers and their prefixes), then interface, addresses, peers and routes are built behind the closed
 * firewall, and the firewall opens last. Hence the nft table exists before the interface does, no peer is admitted
 * before it is installed, and nothing withdrawn waits for something new to succeed.
 */
export function diffPlan(observed: DataplaneState, wanted: DevicePlan): Operation[] {
  const known =
    observed.link === null ? { ...observed, addresses: [], peers: [], routes: [] } : observed;
  const firewall = diffFirewall(known.firewall, wanted.firewall);
  return [
    ...firewall.tighten,
    ...network('tighten', { removeRoutes: without(known.routes, wanted.routes) }),
    ...withdrawPeers(known.peers, wanted.peers),
    ...buildLink(known.link, wanted),
    ...network('build', linkChange(known, wanted)),
    ...installPeers(known.peers, wanted.peers),
    ...network('build', { addRoutes: without(wanted.routes, known.routes) }),
    ...firewall.loosen,
  ];
}

function diffFirewall(observed: FirewallState | null, wanted: FirewallPlan) {
  const held = observed ?? { ownAddresses: [], peerAddresses: [], peerPrefixes: [] };
  const closed = {
    ownAddresses: [...held.ownAddresses, ...without(wanted.ownAddresses, held.ownAddresses)],
    peerAddresses: within(held.peerAddresses, wanted.peerAddresses),
    peerPrefixes: within(held.peerPrefixes, wanted.peerPrefixes),
  };
  const replace = { phase: 'tighten', kind: 'firewall-replace', firewall: closed } as const;
  return {
    tighten: observed?.isIntact === true ? updateFirewall('tighten', observed, closed) : [replace],
    loosen: updateFirewall('loosen', closed, wanted),
  };
}

function updateFirewall(
  phase: 'tighten' | 'loosen',
  from: FirewallPlan,
  to: FirewallPlan,
): Operation[] {
  const change = { remove: elementsWithout(from, to), add: elementsWithout(to, from) };
  const isEmpty = [change.remove, change.add].every(
    ({ ownAddresses, peerAddresses, peerPrefixes }) =>
      ownAddresses.length + peerAddresses.length + peerPrefixes.length === 0,
  );
  return isEmpty ? [] : [{ phase, kind: 'firewall-update', change }];
}

function elementsWithout(plan: FirewallPlan, other: FirewallPlan): FirewallPlan {
  return {
    ownAddresses: without(plan.ownAddresses, other.ownAddresses),
    peerAddresses: without(plan.peerAddresses, other.peerAddresses),
    peerPrefixes: without(plan.peerPrefixes, other.peerPrefixes),
  };
}

function withdrawPeers(held: readonly PlanPeer[], wanted: readonly PlanPeer[]): Operation[] {
  const wantedByKey = byKey(wanted);
  const remove = held.map((peer) => peer.publicKey).filter((key) => !wantedByKey.has(key));
  const set = held.flatMap((peer): PeerSetting[] => {
    const allowed = wantedByKey.get(peer.publicKey)?.allowedIps ?? peer.allowedIps;
    const kept = within(peer.allowedIps, allowed);
    return kept.length === peer.allowedIps.length ? [] : [setting(peer, { allowedIps: kept })];
  });
  return remove.length + set.length === 0
    ? []
    : [{ phase: 'tighten', kind: 'peers', changes: { remove, set } }];
}

function installPeers(held: readonly PlanPeer[], wanted: readonly PlanPeer[]): Operation[] {
  const heldByKey = byKey(held);
  const set = wanted.flatMap((peer): PeerSetting[] => {
    const before = heldByKey.get(peer.publicKey);
    const endpoint = peer.endpoint === before?.endpoint ? undefined : peer.endpoint;
    const isInStep =
      before !== undefined &&
      endpoint === undefined &&
      without(peer.allowedIps, before.allowedIps).length === 0 &&
      peer.persistentKeepaliveSeconds === before.persistentKeepaliveSeconds;
    return isInStep ? [] : [setting(peer, { endpoint })];
  });
  if (set.length === 0) return [];
  const renew = set.flatMap(({ publicKey, endpoint }) => {
    const before = heldByKey.get(publicKey);
    const wasNowhere = before !== undefined && before.endpoint === undefined;
    return wasNowhere && endpoint !== undefined ? [publicKey] : [];
  });
  return [{ phase: 'build', kind: 'peers', changes: { remove: [], set }, renew }];
}

function setting(peer: PlanPeer, change: Partial<PeerSetting>): PeerSetting {
  const { publicKey, allowedIps, persistentKeepaliveSeconds } = peer;
  return { publicKey, allowedIps, persistentKeepaliveSeconds, ...change };
}

function byKey(list: readonly PlanPeer[]): Map<string, PlanPeer> {
  return new Map(list.map((peer) => [peer.publicKey, peer]));
}

function buildLink(held: LinkState | null, wanted: DevicePlan): Operation[] {
  const { listenPort } = wanted;
  if (held === null) return [{ phase: 'build', kind: 'tunnel-create', listenPort }];
  if (listenPort === 0 || listenPort === held.listenPort) return [];
  return [{ phase: 'build', kind: 'tunnel-port', listenPort }];
}

function linkChange(held: DataplaneState, wanted: DevicePlan): NetworkChange {
  return {
    removeAddresses: without(held.addresses, wanted.addresses),
    mtuBytes: held.link?.mtuBytes === wanted.mtuBytes ? undefined : wanted.mtuBytes,
    addAddresses: without(wanted.addresses, held.addresses),
    up: held.link?.isUp === true ? undefined : true,
  };
}

function network(phase: 'tighten' | 'build', change: NetworkChange): Operation[] {
  const isEmpty = Object.values(change).every(
    (part) => part === undefined || (Array.isArray(part) && part.length === 0),
  );
  return isEmpty ? [] : [{ phase, kind: 'network', change }];
}
