import { WireGuardPrivateKey, formatX25519PublicKey } from '@nexodus/wireguard';
import { expect, vi } from 'vitest';
import { planDevice } from '../core/device-plan.ts';
import type { ShownPeer } from '../core/device-plan.ts';
import { createDataplane } from '../dataplane.ts';
import type { Dataplane } from '../dataplane.ts';
import { createNetworkNamespace, joinNamespaces } from './network-namespace.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { createSystemPorts } from '../system-ports.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };

/** One machine: a namespace, a key, and a data plane made through the public factory. */
export interface Machine {
  readonly namespace: NetworkNamespace;
  readonly privateKey: WireGuardPrivateKey;
  readonly addresses: readonly string[];
  readonly underlay: string;
  readonly dataplane: Dataplane;
}

/** A data plane for a namespace, as nexd makes one at its start. */
export async function openDataplane(namespace: NetworkNamespace, privateKey: WireGuardPrivateKey) {
  const ports = await createSystemPorts({ ...namespace, technology: 'wireguard-go' });
  return createDataplane({ ...ports, privateKey, logger: quiet, now: () => new Date() });
}

async function createMachine(host: number): Promise<Machine> {
  const namespace = await createNetworkNamespace();
  const privateKey = WireGuardPrivateKey.generate();
  return {
    namespace,
    privateKey,
    addresses: [`100.64.0.${host}`, `fd00:64::${host}`],
    underlay: `192.0.2.${host}`,
    dataplane: await openDataplane(namespace, privateKey),
  };
}

/** The machine as its peers are shown it. */
export async function shown(
  machine: Machine,
  prefixes: readonly string[] = [],
): Promise<ShownPeer> {
  const { listenPort } = await machine.dataplane.status();
  return {
    publicKey: formatX25519PublicKey(machine.privateKey.publicKey),
    addresses: machine.addresses,
    endpoint: `${machine.underlay}:${listenPort}`,
    prefixes,
  };
}

/** Applies a plan in which the machine is shown these peers. */
export async function show(machine: Machine, peers: readonly ShownPeer[], policy?: 'drop-all') {
  const { addresses } = machine;
  await machine.dataplane.apply(planDevice({ addresses, peers, policy }));
}

/** Whether one ping is answered within a second. */
export async function ping(from: Machine, address: string): Promise<boolean> {
  const args = ['-n', '-c', '1', '-W', '1', address];
  return (await from.namespace.runner.probe('ping', args)).exitCode === 0;
}

/** Pings both addresses of a machine once. */
export async function pings(from: Machine, to: Machine): Promise<boolean[]> {
  return Promise.all(to.addresses.map((address) => ping(from, address)));
}

/** Waits until both addresses of a machine answer. */
export async function reaches(from: Machine, to: Machine): Promise<void> {
  await vi.waitFor(async () => expect(await pings(from, to)).toEqual([true, true]), {
    timeout: 15_000,
  });
}

/** Two machines on one network whose tunnels are up and who are shown nobody. */
export async function createPair(): Promise<[Machine, Machine]> {
  const [alpha, beta] = [await createMachine(1), await createMachine(2)];
  await joinNamespaces(
    [alpha.namespace, ['192.0.2.1/24', '2001:db8::1/64']],
    [beta.namespace, ['192.0.2.2/24', '2001:db8::2/64']],
  );
  await show(alpha, []);
  await show(beta, []);
  return [alpha, beta];
}

/** Shows two machines each other and waits until they talk on both families. */
export async function introduce(alpha: Machine, beta: Machine): Promise<void> {
  await show(alpha, [await shown(beta)]);
  await show(beta, [await shown(alpha)]);
  await reaches(alpha, beta);
  await reaches(beta, alpha);
}

/** Takes machines down and removes their namespaces. */
export async function removeMachines(machines: readonly Machine[]): Promise<void> {
  for (const { dataplane, namespace } of machines) {
    await dataplane.down();
    await namespace.remove();
  }
}
