import { CommandError, runChecked } from './command.ts';
import type { LinkBackplane } from './link.ts';
import { parseCounter, RULES_TABLE, renderLinkRules } from './link-rules.ts';
import type { LinkRules } from './link-rules.ts';
import { addNamespace, ipBatch } from './namespace.ts';
import { setSysctls } from './machine.ts';

/** The namespace that holds all switches (bridges) of a network, and the packet rules on their ports. */
export interface SwitchBackplane extends LinkBackplane {
  readonly namespace: string;
  /** Makes a bridge that forwards at once (no spanning tree) and floods multicast. */
  addBridge(name: string): Promise<void>;
}

/** Makes the namespace; IPv6 is off inside, so that switches add no packets of their own. */
export async function openSwitchBackplane(namespace: string): Promise<SwitchBackplane> {
  await addNamespace(namespace);
  await setSysctls(namespace, {
    'net.ipv6.conf.all.disable_ipv6': '1',
    'net.ipv6.conf.default.disable_ipv6': '1',
  });
  const inForce = new Map<string, LinkRules>();
  let lastChange: Promise<void> = Promise.resolve();
  let counters = 0;
  const nft = (args: readonly string[], stdin = ''): Promise<string> =>
    runChecked(['ip', 'netns', 'exec', namespace, 'nft', ...args], { stdin });

  const replaceRules = async (rules: LinkRules): Promise<void> => {
    const next = new Map(inForce).set(rules.port, rules);
    await nft(['-f', '-'], renderLinkRules([...next.values()]));
    inForce.set(rules.port, rules);
  };
  return {
    namespace,
    addBridge: (name) =>
      ipBatch(namespace, [
        `link add ${name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
        `link set ${name} up`,
      ]),
    setPort: (port, state) => ipBatch(namespace, [`link set ${port} ${state}`]),
    apply(rules) {
      const change = lastChange.then(() => replaceRules(rules));
      lastChange = change.catch(() => undefined);
      return change;
    },
    newCounterName() {
      counters += 1;
      return `count_${counters}`;
    },
    async readCounter(name) {
      const count = parseCounter(
        await nft(['-j', 'list', 'counters', 'table', 'bridge', RULES_TABLE]),
        name,
      );
      if (count === undefined) throw new CommandError(`the switch has no counter ${name}`);
      return count;
    },
  };
}
