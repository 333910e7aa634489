import { WIREGUARD_PORT } from '../bench-network.ts';
import type { RelayLane } from './relay-lane.ts';

/** No relay: the machine in the middle forwards as a router does. The limit of what can be reached. */
export const routerLane: RelayLane = {
  name: 'router',
  description: 'plain router (limit)',
  start: async ({ network: { relay, alpha, beta } }) => {
    const setForwarding = (value: string) =>
      relay.run('sh', ['-c', `echo ${value} > /proc/sys/net/ipv4/ip_forward`]);
    await setForwarding('1');
    return {
      relayPid: undefined,
      endPids: [],
      openTunnel: async () => [
        { address: beta.host.ipv4, port: WIREGUARD_PORT },
        { address: alpha.host.ipv4, port: WIREGUARD_PORT },
      ],
      openStream: async ({ sinkPort }) => ({
        to: { address: beta.host.ipv4, port: sinkPort },
        inChannel: false,
      }),
      stop: async () => void (await setForwarding('0')),
    };
  },
};
