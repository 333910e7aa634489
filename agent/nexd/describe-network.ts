import type { CheckNetworkResponse, FamilyCheck, RelayCheck } from '@nexodus/contracts/nexd';
import {
  advise,
  type FamilyReport,
  natName,
  type NetworkReport,
  placeText,
  type RelayReport,
} from '../netcheck/index.ts';

/** Words a report for people and programs. */
export function describeNetwork(report: NetworkReport): CheckNetworkResponse {
  const { mtu } = report;
  return {
    tunnelPort: report.tunnelPort,
    tunnelPortSeen: report.isTunnelPort,
    ipv4: describeFamily(report.ipv4),
    ipv6: describeFamily(report.ipv6),
    localAddresses: report.ownAddresses.map(({ address }) => address),
    relays: report.relays.map(describeRelay),
    udp443: report.udp443,
    mtu,
    proxy: report.proxy,
    advice: advise(report).map(({ code, text }) => ({ code, text })),
  };
}

function describeFamily({ isUsable, verdict }: FamilyReport): FamilyCheck {
  const { kind, mapping, filtering, hairpin, isPortPreserved } = verdict;
  return {
    usable: isUsable,
    kind,
    name: natName(verdict),
    mapping,
    filtering,
    portPreserved: isPortPreserved,
    hairpin,
    mapped: verdict.mapped.map(({ server, mapped }) => ({
      server: placeText(server),
      mapped: placeText(mapped),
    })),
    reasons: verdict.reasons.map(({ code }) => code),
  };
}

function describeRelay(relay: RelayReport): RelayCheck {
  return {
    relayId: relay.relayId,
    home: relay.isHome,
    available: relay.isOpen,
    udpRoundTripUs: microseconds(relay.udpRoundTripMs),
    udpAddresses: [...relay.udpPlaces],
    url: relay.origin,
    tlsConnectUs: microseconds(relay.tlsMs),
    tlsProblem: relay.tlsProblem,
  };
}

function microseconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.max(1, Math.round(ms * 1_000));
}
