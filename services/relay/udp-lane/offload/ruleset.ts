/**
 * The nft table of a lane: what it holds when no session is open. See docs/protocol/relay-udp.md for the path of a packet.
 *
 * Data of a locked source is rewritten without connection tracking: an entry there would outlive the element that made
 * it, and neither revocation nor a new address would stop or move a flow. The destination is rewritten before routing,
 * the source only after: with a local source address the kernel would refuse to route it. Only whole datagrams match; of
 * a fragmented one the first piece would, and the rest would not. Nor does what a router would drop, for its options or
 * at the end of its life: a device must not make the kernel look as if it did not forward.
 *
 * Where a path is too narrow for a rewritten packet, an error about it would quote addresses that its receiver does not
 * know, and may not: it is dropped. IPv4 packets lose their "don't fragment" bit instead; of IPv6, which only its sender
 * may fragment, the port is noted, and the flow goes back to the sockets, which do fragment.
 *
 * Marks carry the port of arrival from one chain to the next.
 */
import type { PortRange } from '../../core/port-pool.ts';

/** Marks of packets that the table rewrote: this bit and the port at which they arrived. */
export const MARK_BASE = 0x4000_0000;
const MARKS = '0x40000000-0x4000ffff';

/** Handshakes, registrations and data of unknown sources that one source may send, in datagrams per second. */
const STRANGERS_PER_SECOND = 200;
const STRANGERS_BURST = 400;
/**
 * What is not data that one locked source may send, in datagrams per second: a device must not keep the lane busy, and
 * whoever forges its address must send more than this to keep its handshakes out.
 */
const KNOWN_PER_SECOND = 500;
const KNOWN_BURST = 500;
/** What all strangers together may send: their addresses may be forged. */
const ALL_STRANGERS_PER_SECOND = 20_000;
/** Sources told apart by that limit, in each family, and for how long they are remembered. */
const STRANGERS_SIZE = 65_536;
const STRANGERS_TIMEOUT = '10s';

/** How long it is remembered that a path was too narrow; the lane looks more often. */
const NARROW_TIMEOUT = '30s';

/** What the table depends on. */
export interface RulesetOptions {
  /** Such as "inet nexodus_relay_20000". */
  readonly table: string;
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  readonly ports: PortRange;
  /** By family, interfaces on which forwarding was switched on for this table alone. */
  readonly guarded: { readonly ipv4: readonly string[]; readonly ipv6: readonly string[] };
}

/** One transaction that replaces whatever table of that name there is. */
export function renderRuleset(options: RulesetOptions): string {
  const { table, ports } = options;
  const size = ports.last - ports.first + 1;
  const families = [
    ...(options.ipv4 === undefined ? [] : [familyOf(4, options.ipv4)]),
    ...(options.ipv6 === undefined ? [] : [familyOf(6, options.ipv6)]),
  ];
  const range = `${ports.first}-${ports.last}`;
  return `${renderRemoval(table)}table ${table} {
counter c_junk {
}
counter c_rate {
}
set s_tb { type inet_service
size ${size}
flags dynamic,timeout
timeout ${NARROW_TIMEOUT}
}
${families.map((family) => `${renderSets(family, size)}\n${renderChains(family)}`).join('\n')}
chain pre { type filter hook prerouting priority -300; policy accept;
${families.map((family) => ` ${family.header} daddr ${family.address} ${family.isPlain} udp dport ${range} goto in${family.number}`).join('\n')}
}
chain guard { type filter hook forward priority 0; policy accept;
${renderGuard('ipv4', options.guarded.ipv4)}${renderGuard('ipv6', options.guarded.ipv6)}}
chain out { type filter hook output priority 0; policy accept;
${families.map((family) => renderErrors(family, range)).join('\n')}
}
chain post { type filter hook postrouting priority 0; policy accept;
${families.map((family) => ` meta mark @s_po${family.number} ${family.header} saddr set ${family.address}`).join('\n')}
}
}
`;
}

/** Commands that remove the table, whether it is there or not. */
export function renderRemoval(table: string): string {
  return `add table ${table}\ndelete table ${table}\n`;
}

function renderGuard(family: 'ipv4' | 'ipv6', interfaces: readonly string[]): string {
  if (interfaces.length === 0) return '';
  const names = interfaces.map((name) => `"${name}"`).join(', ');
  return ` meta nfproto ${family} iifname { ${names} } meta mark != ${MARKS} drop\n`;
}

/** Errors of this machine about rewritten packets: what they quote has a port of the lane as its source. */
function renderErrors({ number }: Family, range: string): string {
  return number === 4
    ? ` icmp type { destination-unreachable, time-exceeded } @th,224,16 ${range} drop`
    : ` icmpv6 type packet-too-big @th,384,16 ${range} add @s_tb { @th,384,16 }
 icmpv6 type { destination-unreachable, packet-too-big, time-exceeded } @th,384,16 ${range} drop`;
}

interface Family {
  readonly number: 4 | 6;
  readonly address: string;
  readonly addressType: string;
  readonly header: string;
  /** True for packets in which the UDP header follows at once. */
  readonly isPlain: string;
  readonly isWhole: string;
  readonly unfragmentable: string;
  /** By what a source is limited. */
  readonly host: string;
}

function familyOf(number: 4 | 6, address: string): Family {
  return number === 4
    ? {
        number,
        address,
        addressType: 'ipv4_addr',
        header: 'ip',
        isPlain: 'ip protocol udp',
        isWhole: 'ip frag-off & 0x3fff == 0 ip hdrlength 5 ip ttl > 1',
        unfragmentable: ' ip frag-off set 0\n',
        host: 'ip saddr',
      }
    : {
        number,
        address,
        addressType: 'ipv6_addr',
        header: 'ip6',
        isPlain: 'ip6 nexthdr udp',
        isWhole: 'ip6 hoplimit > 1',
        unfragmentable: '',
        host: 'ip6 saddr & ffff:ffff:ffff:ffff::',
      };
}

function renderSets(family: Family, size: number): string {
  const { number: n, addressType } = family;
  const flow = `${addressType} . inet_service . inet_service`;
  // The limit comes first: what is over it is not counted as carried.
  return `map m_fl${n} { type ${flow} : mark
size ${size}
limit rate 1 mbytes/second
counter
}
map m_da${n} { type mark : ${addressType}
size ${size}
}
map m_dp${n} { type mark : inet_service
size ${size}
}
map m_sp${n} { type mark : inet_service
size ${size}
}
set s_po${n} { type mark
size ${size}
counter
}
set s_li${n} { type ${flow}
size ${size}
}
set s_kn${n} { type ${flow}
size ${size}
}
set s_kl${n} { type ${flow}
size ${size}
flags dynamic
timeout ${STRANGERS_TIMEOUT}
}
set s_st${n} { type ${addressType}
size ${STRANGERS_SIZE}
flags dynamic
timeout ${STRANGERS_TIMEOUT}
}`;
}

function renderChains(family: Family): string {
  const { number: n, header, isWhole, host } = family;
  const source = `${header} saddr . udp sport . udp dport`;
  const data = '@th,64,32 0x04000000';
  return `chain rw${n} {
 notrack
${family.unfragmentable} ${header} daddr set meta mark map @m_da${n}
 udp dport set meta mark map @m_dp${n}
 udp sport set meta mark map @m_sp${n}
 accept
}
chain in${n} {
 ${isWhole} ${data} meta mark set ${source} map @m_fl${n} goto rw${n}
 ${isWhole} ${data} ${source} @s_li${n} drop
 ${data} ${source} @s_kn${n} accept
 ${source} @s_kn${n} goto kn${n}
 udp length 156 @th,64,32 0x01000000 goto st${n}
 udp length 100 @th,64,32 0x02000000 goto st${n}
 udp length 64 @th,64,32 0xf5574d31 goto st${n}
 udp length >= 40 ${data} goto st${n}
 counter name c_junk drop
}
chain kn${n} {
 update @s_kl${n} { ${source} limit rate over ${KNOWN_PER_SECOND}/second burst ${KNOWN_BURST} packets } counter name c_rate drop
 accept
}
chain st${n} {
 update @s_st${n} { ${host} limit rate over ${STRANGERS_PER_SECOND}/second burst ${STRANGERS_BURST} packets } counter name c_rate drop
 limit rate ${ALL_STRANGERS_PER_SECOND}/second burst ${ALL_STRANGERS_PER_SECOND} packets accept
 counter name c_rate drop
}`;
}
