/** What is done to the packets of one link, beside carrying them. */
export type LinkRules = {
  /** The switch's interface at the end of this link. */
  readonly port: string;
  /** Share of packets lost in each direction, 0 to 1. */
  readonly lossRatio: number;
  /** Whether UDP is dropped in both directions. */
  readonly isUdpBlocked: boolean;
  /** nft match expressions counted in both directions, by the name of their counter. */
  readonly counters: ReadonlyMap<string, string>;
};

/** Packets and their bytes (with Ethernet headers) as a rule saw them; an aggregate made by segmentation offload is one packet. */
export type PacketCount = {
  readonly packets: number;
  readonly bytes: number;
};

/** The nft table of a network's switches. */
export const RULES_TABLE = 'netsim';

/** Draws per packet: loss is exact to a millionth. */
const DRAWS = 1_000_000;

/**
 * One nft transaction that replaces all rules of a switch namespace; counters that stay keep their values. What is
 * dropped is counted first: a counter says what entered the link, not what came out.
 */
export function renderLinkRules(links: readonly LinkRules[]): string {
  const table = `bridge ${RULES_TABLE}`;
  const lines = [
    `add table ${table}`,
    `add chain ${table} from_hosts { type filter hook prerouting priority 0; }`,
    `add chain ${table} to_hosts { type filter hook forward priority 0; }`,
    `flush chain ${table} from_hosts`,
    `flush chain ${table} to_hosts`,
  ];
  for (const link of links) {
    for (const counter of link.counters.keys()) lines.push(`add counter ${table} ${counter}`);
    lines.push(...chainRules(`${table} from_hosts iifname "${link.port}"`, link));
    lines.push(...chainRules(`${table} to_hosts oifname "${link.port}"`, link));
  }
  return `${lines.join('\n')}\n`;
}

/**
 * Reads the output of `nft -j list counters`.
 *
 * @returns undefined when it names no counter of that name in our table.
 */
export function parseCounter(json: string, name: string): PacketCount | undefined {
  const listing = JSON.parse(json) as {
    nftables?: { counter?: { table: string; name: string } & PacketCount }[];
  }; // nft's own output
  const found = listing.nftables?.find(
    (entry) => entry.counter?.table === RULES_TABLE && entry.counter.name === name,
  );
  return found?.counter && { packets: found.counter.packets, bytes: found.counter.bytes };
}

function chainRules(where: string, link: LinkRules): readonly string[] {
  const rules = [...link.counters].map(
    ([name, match]) => `add rule ${where} ${match} counter name ${name}`,
  );
  if (link.isUdpBlocked) rules.push(`add rule ${where} meta l4proto udp drop`);
  const lost = Math.round(link.lossRatio * DRAWS);
  if (lost > 0) rules.push(`add rule ${where} numgen random mod ${DRAWS} < ${lost} drop`);
  return rules;
}
