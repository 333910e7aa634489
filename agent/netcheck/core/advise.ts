/** What stands in the way of better paths, and what a person can do about it. */
import type { FamilyReport, NetworkReport, RelayReport } from './network-report.ts';
import type { NatReason } from './nat-verdict.ts';

/** One thing that stands in the way. */
export interface Advice {
  /** The same in every release. */
  readonly code: AdviceCode;
  /** One line: what is in the way, and what to do. */
  readonly text: string;
}

/** What may stand in the way. */
export type AdviceCode =
  | 'no-map'
  | 'no-network'
  | 'udp-blocked'
  | 'hard-nat'
  | 'no-ipv6'
  | 'port-not-shared'
  | 'nat-unknown'
  | 'no-stun-server'
  | 'no-relay'
  | 'relay-unreachable'
  | 'relay-udp-silent'
  | 'small-mtu';

/** Packets of the tunnel (1,280 bytes) in WireGuard (32), UDP (8) and IPv6 (40 bytes). */
const NEEDED_MTU_BYTES = 1_360;

/** Advice on a report, the gravest first; empty: nothing stands in the way. Never throws. */
export function advise(report: NetworkReport): readonly Advice[] {
  if (!report.isMapKnown) return [NO_MAP];
  const isApart = familiesOf(report).length === 0;
  if (isApart && report.relays.every(({ tlsMs }) => tlsMs === undefined)) return [NO_NETWORK];
  return [
    ...adviseRelays(report),
    ...adviseUdp(report),
    ...adviseNat(report),
    ...adviseKnowledge(report),
    ...adviseMtu(report),
  ];
}

const NO_MAP: Advice = {
  code: 'no-map',
  text: 'The service has not said yet which relays and STUN servers there are, so nothing could be asked. See `nexctl nexd status` for why, and check again when it is connected',
};

const NO_NETWORK: Advice = {
  code: 'no-network',
  text: 'This machine has no way to the servers: no address outside of the tunnel, or no route. Connect it to a network',
};

function adviseUdp(report: NetworkReport): readonly Advice[] {
  const usable = familiesOf(report);
  const isOneOpen = usable.some(({ verdict }) => verdict.mapped.length > 0);
  const isOneBlocked = usable.some(({ verdict }) => verdict.kind === 'udp-blocked');
  if (isOneOpen || (usable.length > 0 && !isOneBlocked)) return [];
  const way = report.relays.some(({ tlsMs }) => tlsMs !== undefined)
    ? 'peers are reached over TLS through relays only'
    : 'no peer is reached from here';
  return [
    {
      code: 'udp-blocked',
      text: `UDP is blocked in this network: ${way}. Let UDP out at the firewall, at least from port ${report.tunnelPort}, to get direct paths`,
    },
  ];
}

function adviseNat(report: NetworkReport): readonly Advice[] {
  const { ipv4, ipv6, tunnelPort } = report;
  const advice: Advice[] = [];
  const isHard = ipv4.verdict.kind === 'nat' && ['adm', 'apdm'].includes(ipv4.verdict.mapping);
  if (isHard) {
    const [own] = report.ownAddresses.filter(({ family }) => family === 4);
    const here = own === undefined ? 'this machine' : own.address;
    advice.push({
      code: 'hard-nat',
      text: `Your NAT takes another port for each destination: a peer behind such a NAT, too, is reached through a relay only. For direct paths start nexd with --listen-port ${tunnelPort}, so that the port stays, and forward UDP ${tunnelPort} at the router to ${here}`,
    });
  }
  if (isHard && !ipv6.isUsable) {
    advice.push({
      code: 'no-ipv6',
      text: 'This machine has no IPv6, which no NAT would be in the way of. Switch it on at the router, if the provider has it',
    });
  }
  return advice;
}

function adviseKnowledge(report: NetworkReport): readonly Advice[] {
  const advice: Advice[] = [];
  const usable = familiesOf(report);
  if (usable.length === 0) return [];
  if (usable.every(({ verdict }) => has(verdict.reasons, 'no-server'))) {
    advice.push({
      code: 'no-stun-server',
      text: 'The service names no STUN server: outside addresses are not known. Ask its administrator to run `services/stun`',
    });
  } else if (usable.some(isUnsure)) {
    advice.push({
      code: 'nat-unknown',
      text: 'The STUN servers cannot tell the whole kind of your NAT. Ask the administrator for `stun.discovery` with a second address',
    });
  }
  if (!report.isTunnelPort && usable.some(({ verdict }) => verdict.mapped.length > 0)) {
    advice.push({
      code: 'port-not-shared',
      text: `What was seen from outside is another port than the tunnel's: nftables is not usable here. Install it, and load the kernel module nf_tables`,
    });
  }
  return advice;
}

/** What is not translated needs no more to be known. */
function isUnsure({ verdict }: FamilyReport): boolean {
  const isAsked = verdict.kind === 'nat' || verdict.kind === 'untranslated';
  const isUnknown = verdict.mapping === 'unknown' || verdict.filtering === 'unknown';
  return isAsked && (isUnknown || has(verdict.reasons, 'ports-not-compared'));
}

function adviseRelays(report: NetworkReport): readonly Advice[] {
  if (report.relays.length === 0) {
    const text =
      'The service names no relay: peers that cannot be reached directly are not reached at all. Ask its administrator to run one';
    return [{ code: 'no-relay', text }];
  }
  const hasUdp = familiesOf(report).some(({ verdict }) => verdict.mapped.length > 0);
  return report.relays
    .filter(({ isOpen }) => isOpen)
    .flatMap((relay) => adviseRelay(relay, hasUdp));
}

function adviseRelay(relay: RelayReport, hasUdp: boolean): readonly Advice[] {
  const { relayId, origin, tlsProblem, udpPlaces, udpRoundTripMs } = relay;
  const advice: Advice[] = [];
  if (relay.tlsMs === undefined) {
    const what = tlsProblem === '' ? 'it does not answer' : tlsProblem;
    advice.push({
      code: 'relay-unreachable',
      text: `The relay ${relayId} is not reached over TLS: ${what}. Let TCP out to ${origin}`,
    });
  }
  if (hasUdp && udpPlaces.length > 0 && udpRoundTripMs === undefined) {
    advice.push({
      code: 'relay-udp-silent',
      text: `The relay ${relayId} does not answer UDP at ${udpPlaces.join(', ')}, though UDP passes elsewhere. Let UDP out to there`,
    });
  }
  return advice;
}

function adviseMtu({ mtu }: NetworkReport): readonly Advice[] {
  if (mtu === undefined || mtu.mtuBytes >= NEEDED_MTU_BYTES) return [];
  const { interfaceName, mtuBytes } = mtu;
  return [
    {
      code: 'small-mtu',
      text: `Packets of more than ${mtuBytes} bytes do not leave by ${interfaceName}: those of the tunnel (up to ${NEEDED_MTU_BYTES}) are fragmented. Raise its MTU`,
    },
  ];
}

function familiesOf({ ipv4, ipv6 }: NetworkReport): readonly FamilyReport[] {
  return [ipv4, ipv6].filter(({ isUsable }) => isUsable);
}

function has(reasons: readonly NatReason[], code: NatReason['code']): boolean {
  return reasons.some((reason) => reason.code === code);
}
