import type { LinkRules, PacketCount } from './link-rules.ts';

/** Counts the packets of one link that match an expression. */
export interface PacketCounter {
  /** What matched since the counter was made. */
  read(): Promise<PacketCount>;
}

/** The cable between a host's interface and a switch. Changes hold from the moment their promise settles. */
export interface Link {
  /** The host's interface: `eth0`, `eth1`, ... in the order of its attachments. */
  readonly interfaceName: string;
  /** The host's IPv4 address on this link, where the switch has an IPv4 prefix. */
  readonly ipv4: string | undefined;
  /** The host's IPv6 address on this link, where the switch has an IPv6 prefix. */
  readonly ipv6: string | undefined;
  /** Pulls the cable: the host sees no carrier and keeps its addresses and routes. */
  down(): Promise<void>;
  /** Plugs it in again. */
  up(): Promise<void>;
  /**
   * Loses this share (0 to 1) of packets in each direction, each by its own draw; 0 ends it. An aggregate made by
   * segmentation offload is lost as one packet. Address resolution suffers too.
   *
   * @throws RangeError outside 0 to 1.
   */
  setLoss(ratio: number): Promise<void>;
  /** Drops (or carries again) all UDP, both families, both directions. */
  blockUdp(isBlocked: boolean): Promise<void>;
  /**
   * Counts, from here on, the packets that enter this link from either end and match an nft expression of the bridge
   * family, such as `ip daddr 10.77.0.11 udp dport 51820`; an empty expression counts all, address resolution included.
   *
   * @throws CommandError when nft refuses the expression.
   */
  count(match: string): Promise<PacketCounter>;
}

/** What a link asks of the switch namespace it ends in. */
export interface LinkBackplane {
  /** Sets the switch's interface up or down. */
  setPort(port: string, state: 'up' | 'down'): Promise<void>;
  /** Puts the rules of this link in force, beside those of the others. */
  apply(rules: LinkRules): Promise<void>;
  /** A counter name not used before. */
  newCounterName(): string;
  /** Reads a counter that rules in force name. */
  readCounter(name: string): Promise<PacketCount>;
}

/** Where a link runs, and the addresses at its host's end. */
export type LinkEnds = Pick<Link, 'interfaceName' | 'ipv4' | 'ipv6'> & { readonly port: string };

/** Makes the handle of a link whose interfaces exist. */
export function createLink(ends: LinkEnds, backplane: LinkBackplane): Link {
  let rules: LinkRules = {
    port: ends.port,
    lossRatio: 0,
    isUdpBlocked: false,
    counters: new Map(),
  };
  const change = async (next: Partial<LinkRules>): Promise<void> => {
    const before = rules;
    rules = { ...rules, ...next };
    try {
      await backplane.apply(rules);
    } catch (error) {
      rules = before;
      throw error;
    }
  };
  return {
    interfaceName: ends.interfaceName,
    ipv4: ends.ipv4,
    ipv6: ends.ipv6,
    down: () => backplane.setPort(ends.port, 'down'),
    up: () => backplane.setPort(ends.port, 'up'),
    async setLoss(ratio) {
      if (!(ratio >= 0 && ratio <= 1))
        throw new RangeError(`loss must be between 0 and 1, not ${ratio}`);
      await change({ lossRatio: ratio });
    },
    blockUdp: (isBlocked) => change({ isUdpBlocked: isBlocked }),
    async count(match) {
      const name = backplane.newCounterName();
      await change({ counters: new Map([...rules.counters, [name, match]]) });
      return { read: () => backplane.readCounter(name) };
    },
  };
}
