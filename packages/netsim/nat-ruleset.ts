/**
 * Address translation and filtering of a router as RFC 4787 names them, out of nftables and connection tracking.
 *
 * Linux's own source translation keeps the source port where it can, so that one inside socket appears as one outside
 * socket (section 4.1, endpoint-independent mapping), and lets in only what answers (section 5, address and
 * port-dependent filtering): that is the common router, and no more than `masquerade` and a drop. The freer kinds learn
 * each mapping from the first packet that leaves (`outbound`: inside socket to outside socket; `inbound`: the way back)
 * and let strangers in through it, all or those whose address was contacted. Mapping per destination is `fully-random`.
 */

/** Mapping and filtering behaviour (RFC 4787 sections 4.1 and 5): endpoint-independent, address-dependent, address and port-dependent. */
export type NatKind = 'eim-eif' | 'eim-adf' | 'eim-apdf' | 'apdm-apdf';

/** What a translating router does, and on which interfaces. */
export type NatRules = {
  readonly kind: NatKind;
  /**
   * Whether machines inside reach each other by outside sockets (RFC 4787 section 6), with outside source address and
   * port, under the same filtering. Only for endpoint-independent mapping, only UDP.
   */
  readonly hairpin: boolean;
  /** Whether UDP is dropped in both directions. */
  readonly isUdpBlocked: boolean;
  readonly outside: { readonly interfaceName: string; readonly ipv4: string };
  readonly inside: { readonly interfaceName: string };
  /** Life of a UDP mapping after the last packet outwards (RFC 4787 section 4.3). */
  readonly mappingLifetimeSeconds: number;
};

/** The nft table of a router. */
export const ROUTER_TABLE = 'router';

/** What several sections of a ruleset name. */
type Names = {
  readonly fromInside: string;
  readonly fromOutside: string;
  readonly outward: string;
  readonly turned: string;
  readonly address: string;
};

/**
 * The ruleset of a router between two IPv4 segments, for `nft -f`.
 *
 * @throws RangeError for hairpinning with a mapping per destination: no outside socket stands for an inside one there.
 */
export function renderNatRuleset(rules: NatRules): string {
  if (rules.hairpin && rules.kind === 'apdm-apdf')
    throw new RangeError('hairpinning needs endpoint-independent mapping');
  const { outside, inside } = rules;
  const fromInside = `iifname "${inside.interfaceName}"`;
  const outward = `${fromInside} oifname "${outside.interfaceName}"`;
  const turned = `${fromInside} oifname "${inside.interfaceName}"`;
  const fromOutside = `iifname "${outside.interfaceName}"`;
  const names = { fromInside, fromOutside, outward, turned, address: outside.ipv4 };
  const learns = rules.hairpin || rules.kind === 'eim-eif' || rules.kind === 'eim-adf';
  return [
    `table ip ${ROUTER_TABLE} {`,
    ...indented(inputChain(names)),
    ...indented(forwardChain(rules, names)),
    ...indented(learns ? learningTranslation(rules, names) : plainTranslation(rules)),
    '}\n',
  ].join('\n');
}

/** The ruleset of a router between two IPv6 segments that translates nothing and lets in only what answers (RFC 6092 section 3.2.1). */
export function renderIpv6Firewall(outsideName: string, insideName: string): string {
  return [
    `table ip6 ${ROUTER_TABLE} {`,
    ...indented([
      'chain input {',
      '  type filter hook input priority filter;',
      `  meta l4proto ipv6-icmp accept`,
      `  iifname "${outsideName}" ct state != { established, related } drop`,
      '}',
      'chain forward {',
      '  type filter hook forward priority filter; policy drop;',
      '  ct state { established, related } accept',
      `  iifname "${insideName}" accept`,
      '}',
    ]),
    '}\n',
  ].join('\n');
}

/** The ruleset of a machine that has two segments and lets nothing through between them. */
export function renderNoForwarding(): string {
  return `table inet ${ROUTER_TABLE} {\n  chain forward { type filter hook forward priority filter; policy drop; }\n}\n`;
}

/**
 * What is dropped leaves no entry in connection tracking, so an early stranger cannot take the port that a later mapping
 * would keep.
 */
function inputChain(names: Names): readonly string[] {
  return [
    'chain input {',
    '  type filter hook input priority filter;',
    '  ct state { established, related } accept',
    `  ${names.fromOutside} drop`,
    `  ${names.fromInside} ip daddr ${names.address} drop`,
    '}',
  ];
}

function forwardChain(rules: NatRules, names: Names): readonly string[] {
  const { kind, hairpin } = rules;
  const timed = `flags dynamic, timeout; timeout ${rules.mappingLifetimeSeconds}s; size ${MAPPINGS};`;
  const contacted = kind === 'eim-adf';
  return [
    ...(contacted ? [`set contacted { type ${SOCKET_TYPE} . ipv4_addr; ${timed} }`] : []),
    ...(hairpin ? [`set turned { type ${SOCKET_TYPE} . ${SOCKET_TYPE}; ${timed} }`] : []),
    ...(hairpin ? [`set turning { type ${SOCKET_TYPE}; ${timed} }`] : []),
    'chain forward {',
    '  type filter hook forward priority filter; policy drop;',
    ...(rules.isUdpBlocked ? ['  meta l4proto udp drop'] : []),
    ...(contacted ? [`  ${names.outward} update @contacted { ${SOURCE} . ip daddr }`] : []),
    ...(hairpin ? [`  ${names.turned} update @turned { ${SOURCE} . ${DESTINATION} }`] : []),
    ...(hairpin ? [`  ${names.turned} update @turning { ${SOURCE} }`] : []),
    '  ct state { established, related } accept',
    `  ${names.outward} accept`,
    ...strangerRules(kind, names),
    ...(hairpin ? [`  ${names.turned} ${TURNED_FILTER[kind]} accept`] : []),
    '}',
  ];
}

/** What comes from outside unasked, its destination already translated. */
function strangerRules(kind: NatKind, names: Names): readonly string[] {
  if (kind === 'eim-eif') return [`  ${names.fromOutside} ct status dnat accept`];
  if (kind === 'eim-adf')
    return [`  ${names.fromOutside} ${DESTINATION} . ip saddr @contacted accept`];
  return [];
}

function plainTranslation({ kind, outside }: NatRules): readonly string[] {
  const translation = kind === 'apdm-apdf' ? 'masquerade fully-random' : 'masquerade';
  return [
    'chain translate {',
    '  type nat hook postrouting priority srcnat;',
    `  oifname "${outside.interfaceName}" ${translation}`,
    '}',
  ];
}

/** A port that another machine's mapping holds is not taken over: that machine's strangers would come to this one. */
function learningTranslation(rules: NatRules, names: Names): readonly string[] {
  const timed = `flags dynamic, timeout; timeout ${rules.mappingLifetimeSeconds}s; size ${MAPPINGS};`;
  const back = [
    ...(rules.kind === 'eim-apdf' ? [] : [names.fromOutside]),
    ...(rules.hairpin ? [names.fromInside] : []),
  ];
  const learn = (direction: 'original' | 'reply'): readonly string[] => {
    const insider = `ct ${direction} ip saddr . ct ${direction} proto-src`;
    const when = `${names.fromInside} meta l4proto udp ct direction ${direction}`;
    return [
      `  ${when} update @outbound { ${insider} : ${SOURCE} }`,
      `  ${when} update @inbound { udp sport : ${insider} }`,
    ];
  };
  return [
    `map outbound { type ${SOCKET_TYPE} : ${SOCKET_TYPE}; ${timed} }`,
    `map inbound { type inet_service : ${SOCKET_TYPE}; ${timed} }`,
    'chain arrive {',
    '  type nat hook prerouting priority dstnat;',
    ...back.map((from) => `  ${from} ip daddr ${names.address} dnat ip to udp dport map @inbound`),
    '}',
    'chain translate {',
    '  type nat hook postrouting priority srcnat;',
    `  iifname != "${rules.inside.interfaceName}" return`,
    `  snat ip to ${SOURCE} map @outbound`,
    `  udp sport @inbound snat ip to ${names.address} fully-random`,
    `  snat ip to ${names.address}`,
    '}',
    'chain learn {',
    '  type filter hook postrouting priority srcnat + 10;',
    ...learn('original'),
    ...learn('reply'),
    '}',
  ];
}

const SOCKET_TYPE = 'ipv4_addr . inet_service';
const SOURCE = 'ip saddr . udp sport';
const DESTINATION = 'ip daddr . udp dport';

/** More than a laboratory opens: one per outside port. */
const MAPPINGS = 65_535;

/** Filtering between machines inside: by what the receiver itself sent to outside sockets of the inside. */
const TURNED_FILTER: Readonly<Record<NatKind, string>> = {
  'eim-eif': 'ct status dnat',
  'eim-adf': `${DESTINATION} @turning`,
  'eim-apdf': `${DESTINATION} . ${SOURCE} @turned`,
  'apdm-apdf': '',
};

function indented(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `  ${line}`);
}
