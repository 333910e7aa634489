/** The report of `nexctl nexd netcheck` for people. */
import {
  type CheckNetworkResponse,
  type FamilyCheck,
  type MappedAddress,
  RelayCheck,
} from '@nexodus/contracts/nexd';
import type { ResourceView } from './print-resource.ts';

/** A line of the report: what it is about, and what is so. */
export interface ReportLine {
  readonly name: string;
  readonly text: string;
}

/** The lines above the table of relays. */
export function reportLines(report: CheckNetworkResponse): readonly ReportLine[] {
  const { mtu, proxy, tunnelPort, tunnelPortSeen, localAddresses } = report;
  const port = tunnelPort === 0 ? 'none yet' : String(tunnelPort);
  return [
    {
      name: 'UDP port',
      text: `${port}${tunnelPortSeen ? '' : ' (another one was seen from outside)'}`,
    },
    { name: 'own', text: localAddresses.join(', ') || 'no address outside of the tunnel' },
    ...familyLines('IPv4', report.ipv4),
    ...familyLines('IPv6', report.ipv6),
    { name: 'UDP/443', text: udp443Texts[report.udp443] ?? report.udp443 },
    {
      name: 'MTU',
      text:
        mtu === undefined
          ? 'no way to a server'
          : `${mtu.mtuBytes} bytes by ${mtu.interfaceName} towards ${mtu.address}`,
    },
    ...(proxy === '' ? [] : [{ name: 'proxy', text: `relays are reached through ${proxy}` }]),
  ];
}

/** Relays as a table; the home is marked. */
export const relayCheckView: ResourceView<RelayCheck> = {
  columns: [
    { title: 'relay', text: ({ relayId, home }) => (home ? `${relayId} *` : relayId) },
    { title: 'latency', text: ({ udpRoundTripUs }) => milliseconds(udpRoundTripUs) },
    { title: 'udp', text: udpText },
    { title: 'tls', text: tlsText },
    { title: 'notes', text: relayNotes },
  ],
  toJson: (relay) => RelayCheck.toJSON(relay),
};

const udp443Texts: Readonly<Record<string, string>> = {
  passes: 'passes',
  blocked: 'blocked: servers at that port do not answer',
  'no-server': 'no server listens there',
};

const mappingTexts: Readonly<Record<string, string>> = {
  eim: 'endpoint-independent mapping',
  adm: 'address-dependent mapping',
  apdm: 'address and port-dependent mapping',
  unknown: 'mapping not known',
};

const filteringTexts: Readonly<Record<string, string>> = {
  eif: 'endpoint-independent filtering',
  adf: 'address-dependent filtering',
  apdf: 'address and port-dependent filtering',
  unknown: 'filtering not known',
};

const hairpinTexts: Readonly<Record<string, string>> = {
  yes: 'yes: machines here reach each other by outside addresses',
  no: 'no: machines here reach each other by inside addresses only',
  unknown: 'not known',
};

/** In words that people understand. */
const plainTexts: Readonly<Record<string, string>> = {
  'eim-eif': 'easy NAT: whoever knows the outside address gets in',
  'eim-adf': 'easy NAT: lets in whom this machine has sent to, at any port',
  'eim-apdf': 'common NAT: lets in what answers; direct paths by sending from both sides',
};

const reasonTexts: Readonly<Record<string, string>> = {
  'no-server': 'no STUN server is known',
  'no-answer': 'no STUN server answers',
  'one-server': 'only one STUN server answers',
  'ports-not-compared': 'no server has a second port to compare',
  'filtering-not-offered': 'no server can answer from another address',
};

function familyLines(name: string, family: FamilyCheck | undefined): readonly ReportLine[] {
  if (family === undefined || !family.usable) {
    return [{ name, text: 'no address outside of the tunnel, or no route' }];
  }
  return [
    { name, text: kindText(family) },
    ...mappedLines(family),
    ...(family.kind === 'nat'
      ? [{ name: '  hairpin', text: hairpinTexts[family.hairpin] ?? family.hairpin }]
      : []),
  ];
}

function kindText(family: FamilyCheck): string {
  switch (family.kind) {
    case 'open':
      return 'open: no NAT, no firewall';
    case 'firewall':
      return `firewall, no NAT: lets in what answers (${filteringTexts[family.filtering] ?? family.filtering})`;
    case 'untranslated':
      return withReasons('no NAT; whether a firewall is in the way is not known', family);
    case 'udp-blocked':
      return 'UDP is blocked: no STUN server answers';
    case 'nat':
      return natText(family);
    default:
      return withReasons('not known', family);
  }
}

function natText(family: FamilyCheck): string {
  const { filtering, mapping, name } = family;
  const isHard = mapping === 'adm' || mapping === 'apdm';
  const plain = isHard
    ? 'hard NAT: another outside port for each destination'
    : (plainTexts[name] ?? 'NAT');
  const terms = `${mappingTexts[mapping] ?? mapping}, ${filteringTexts[filtering] ?? filtering}`;
  return withReasons(`${plain} (${name === 'unknown' ? '' : `${name}: `}${terms})`, family);
}

function withReasons(text: string, { reasons }: FamilyCheck): string {
  const known = reasons.flatMap((reason) => reasonTexts[reason] ?? []);
  return known.length === 0 ? text : `${text}: ${known.join(', ')}`;
}

/** One line for each outside address, with how many servers saw it. */
function mappedLines({ kind, mapped, portPreserved }: FamilyCheck): readonly ReportLine[] {
  const seen = new Map<string, number>();
  for (const { mapped: address } of mapped) seen.set(address, (seen.get(address) ?? 0) + 1);
  const port = portPreserved === true ? ', port kept' : ', another port';
  return [...seen].map(([address, count], index) => ({
    name: index === 0 ? '  seen as' : '',
    text: `${address}${kind === 'nat' ? port : ''} (by ${serverText(count, mapped)})`,
  }));
}

function serverText(count: number, all: readonly MappedAddress[]): string {
  if (count === all.length && count > 1) return `all ${count} servers`;
  return count === 1 ? '1 server' : `${count} servers`;
}

function udpText({ udpAddresses, udpRoundTripUs }: RelayCheck): string {
  if (udpAddresses.length === 0) return '-';
  return `${udpRoundTripUs === undefined ? 'no answer' : 'yes'} (${udpAddresses.join(', ')})`;
}

function tlsText({ tlsConnectUs, url }: RelayCheck): string {
  const port = url.slice(url.lastIndexOf(':') + 1);
  return tlsConnectUs === undefined
    ? `no (TCP ${port})`
    : `yes (TCP ${port}, ${milliseconds(tlsConnectUs)})`;
}

function relayNotes({ available, tlsProblem }: RelayCheck): string {
  return [available ? '' : 'takes no new sessions', tlsProblem].filter(Boolean).join('; ');
}

function milliseconds(us: number | undefined): string {
  if (us === undefined) return '-';
  return `${(us / 1_000).toFixed(us < 100_000 ? 1 : 0)} ms`;
}
