import { randomInt } from 'node:crypto';
import { WireGuardPrivateKey } from '@nexodus/wireguard';
import { firewallContract } from './firewall.contract.ts';
import { hostNetworkContract } from './host-network.contract.ts';
import { createIprouteHostNetwork } from './iproute-host-network.ts';
import { createKernelTunnel } from './kernel-tunnel.ts';
import { createNetworkNamespace } from './testing/network-namespace.ts';
import { createNftablesFirewall } from './nftables-firewall.ts';
import { tunnelContract } from './tunnel.contract.ts';
import type { Tunnel } from './tunnel.ts';
import { createWireguardGoTunnel } from './wireguard-go-tunnel.ts';

/** Contract subject of tunnels in a new namespace; `open` makes the adapter from a place. */
function inNamespace(open: (place: Parameters<typeof createKernelTunnel>[0]) => Tunnel) {
  return async () => {
    const namespace = await createNetworkNamespace();
    const { interfaceName, run } = namespace;
    const squatter = createWireguardGoTunnel({ ...namespace, interfaceName: `${interfaceName}x` });
    return {
      open: () => open(namespace),
      takeInterface: async () => {
        await run(`ip link add ${interfaceName} type veth peer name other`);
      },
      takePort: async () => {
        const listenPort = 20_000 + randomInt(10_000);
        const privateKey = WireGuardPrivateKey.generate();
        await squatter.create({ privateKey, listenPort });
        await run(`ip link set ${interfaceName}x up`);
        return listenPort;
      },
      cleanUp: async () => {
        await squatter.remove();
        await open(namespace)
          .remove()
          .catch(() => run(`ip link delete ${interfaceName}`));
        await namespace.remove();
      },
    };
  };
}

tunnelContract('wireguard-go', inNamespace(createWireguardGoTunnel));

/** The kernel adapter's `wg` half, over an interface that wireguard-go makes: `wg` speaks to both alike. */
tunnelContract(
  'wg over wireguard-go',
  inNamespace((place) => {
    const kernel = createKernelTunnel(place);
    return {
      ...createWireguardGoTunnel(place),
      applyPeerChanges: (changes) => kernel.applyPeerChanges(changes),
      read: () => kernel.read(),
    };
  }),
);

hostNetworkContract('iproute2', async () => {
  const namespace = await createNetworkNamespace();
  const { run } = namespace;
  const tunnel = createWireguardGoTunnel(namespace);
  await tunnel.create({ privateKey: WireGuardPrivateKey.generate(), listenPort: 0 });
  return {
    network: createIprouteHostNetwork(namespace),
    joinNetwork: async (address, prefixLength) => {
      await run('ip link add lan type veth peer name other');
      await run(`ip address add ${address}/${prefixLength} dev lan`);
      await run('ip link set lan up');
    },
    removeInterface: () => tunnel.remove(),
    cleanUp: async () => {
      await tunnel.remove();
      await namespace.remove();
    },
  };
});

firewallContract('nftables', async () => {
  const namespace = await createNetworkNamespace();
  const { interfaceName, run, runner } = namespace;
  return {
    firewall: createNftablesFirewall({ interfaceName, runner }),
    changeRules: async () => {
      await run(`nft insert rule inet nexodus_${interfaceName} tunnel_input accept`);
    },
    cleanUp: () => namespace.remove(),
  };
});
