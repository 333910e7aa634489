import { WireGuardPrivateKey } from '@nexodus/wireguard';
import { firewallContract } from './firewall.contract.ts';
import { hostNetworkContract } from './host-network.contract.ts';
import { createMemoryHost } from './memory-host.ts';
import { tunnelContract } from './tunnel.contract.ts';

const nothing = async () => undefined;

tunnelContract('the tunnel of a memory host', async () => {
  const { tunnel, meddle } = createMemoryHost();
  return {
    open: () => tunnel,
    takeInterface: () => meddle.takeInterface(),
    takePort: () => {
      meddle.takePort(51_820);
      return 51_820;
    },
    cleanUp: nothing,
  };
});

hostNetworkContract('the network of a memory host', async () => {
  const { tunnel, network, meddle } = createMemoryHost();
  await tunnel.create({ privateKey: WireGuardPrivateKey.generate(), listenPort: 0 });
  return {
    network,
    joinNetwork: (address, prefixLength) => {
      const onLink = { interfaceName: 'eth0', prefix: `${address}/${prefixLength}` };
      meddle.joinNetwork(onLink, { interfaceName: 'eth0', address });
    },
    removeInterface: () => meddle.removeInterface(),
    cleanUp: nothing,
  };
});

firewallContract('the firewall of a memory host', async () => {
  const { firewall, meddle } = createMemoryHost();
  return { firewall, changeRules: () => meddle.changeRules(), cleanUp: nothing };
});
