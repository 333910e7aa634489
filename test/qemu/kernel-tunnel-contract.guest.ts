/** Runs inside a guest: the contract of the agent's tunnel on the kernel's WireGuard. Node's test runner reports. */
import { createCommandRunner, createSystemPorts, tunnelContract } from '@nexodus/agent/testing';
import { createVirtualNetwork } from '@nexodus/netsim';

const INTERFACE = 'nx0';
const TAKEN_PORT = 20_000;

tunnelContract('kernel', async () => {
  const network = await createVirtualNetwork();
  const host = await network.host('a', []);
  const runner = createCommandRunner({ prefix: ['ip', 'netns', 'exec', host.namespace] });
  const stateDir = `/job/state-${host.namespace}`;
  return {
    open: async () => {
      const options = { interfaceName: INTERFACE, stateDir, runner, technology: 'kernel' } as const;
      return (await createSystemPorts(options)).tunnel;
    },
    takeInterface: async () => {
      await host.run('ip', ['link', 'add', INTERFACE, 'type', 'veth', 'peer', 'name', 'other']);
    },
    takePort: async () => {
      await host.run('ip', ['link', 'add', 'squatter', 'type', 'wireguard']);
      await host.run('wg', ['set', 'squatter', 'listen-port', String(TAKEN_PORT)]);
      await host.run('ip', ['link', 'set', 'squatter', 'up']);
      return TAKEN_PORT;
    },
    cleanUp: () => network.close(),
  };
});
