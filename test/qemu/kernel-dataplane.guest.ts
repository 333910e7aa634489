/**
 * Runs inside a guest: the agent's data plane on the kernel's WireGuard, on two machines of a network. Prints one line
 * of JSON per step; kernel-dataplane.integration.test.ts says what it must be.
 */
import {
  createCommandRunner,
  createDataplane,
  createSystemPorts,
  planDevice,
} from '@nexodus/agent/testing';
import type { Dataplane, ShownPeer } from '@nexodus/agent/testing';
import { createVirtualNetwork, ping, startPing } from '@nexodus/netsim';
import type { VirtualHost, VirtualSwitch } from '@nexodus/netsim';
import { formatX25519PublicKey, WireGuardPrivateKey } from '@nexodus/wireguard';

const INTERFACE = 'nx0';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };

/** A device: its machine, its key and its data plane. */
type Device = {
  readonly host: VirtualHost;
  readonly privateKey: WireGuardPrivateKey;
  readonly addresses: readonly [ipv4: string, ipv6: string];
  readonly dataplane: Dataplane;
};

function report(step: string, value: unknown): void {
  console.log(JSON.stringify({ [step]: value }));
}

async function openDataplane(
  host: VirtualHost,
  privateKey: WireGuardPrivateKey,
): Promise<Dataplane> {
  const runner = createCommandRunner({ prefix: ['ip', 'netns', 'exec', host.namespace] });
  const stateDir = `/job/state-${host.name}`;
  const ports = await createSystemPorts({ interfaceName: INTERFACE, stateDir, runner });
  return createDataplane({ ...ports, privateKey, logger: quiet, now: () => new Date() });
}

async function createDevice(name: string, number: number, lan: VirtualSwitch): Promise<Device> {
  const host = await network.host(name, [{ switch: lan }]);
  const privateKey = WireGuardPrivateKey.generate();
  const dataplane = await openDataplane(host, privateKey);
  return {
    host,
    privateKey,
    addresses: [`100.64.0.${number}`, `fd00:64::${number}`],
    dataplane,
  };
}

/** The device as others are shown it, at its underlay address of one family. */
async function shown(device: Device, underlay: 'ipv4' | 'ipv6'): Promise<ShownPeer> {
  const { listenPort } = await device.dataplane.status();
  const { host } = device;
  return {
    publicKey: formatX25519PublicKey(device.privateKey.publicKey),
    addresses: device.addresses,
    endpoint: underlay === 'ipv4' ? `${host.ipv4}:${listenPort}` : `[${host.ipv6}]:${listenPort}`,
  };
}

async function show(
  device: Device,
  peers: readonly ShownPeer[],
  policy: 'peers' | 'drop-all' = 'peers',
): Promise<void> {
  await device.dataplane.apply(planDevice({ addresses: device.addresses, peers, policy }));
}

/** Echoes answered on IPv4 and IPv6, of 3 each. */
async function answered(from: Device, to: Device): Promise<readonly number[]> {
  const options = { count: 3, intervalMs: 100, replyTimeoutMs: 1_000 };
  const results = await Promise.all(
    to.addresses.map((address) => ping(from.host, address, options)),
  );
  return results.map((result) => result.received);
}

/** Our interface, its routes and nft tables on a machine, as the system's tools list them. */
async function remains(device: Device): Promise<readonly string[]> {
  const listings = await Promise.all([
    device.host.run('ip', ['-brief', 'link', 'show', 'type', 'wireguard']),
    device.host
      .run('ip', ['-4', 'route', 'show', 'table', 'all', 'dev', INTERFACE])
      .catch(() => ''),
    device.host.run('nft', ['list', 'tables']),
    device.host.run('sh', ['-c', `ls /job/state-${device.host.name}`]),
  ]);
  return listings.map((listing) => listing.trim());
}

await using network = await createVirtualNetwork();
const lan = await network.switch('lan', { ipv4: '192.0.2.0/24', ipv6: '2001:db8::/64' });
const a = await createDevice('a', 1, lan);
const b = await createDevice('b', 2, lan);

await show(a, []);
await show(b, []);
report('technology', (await a.dataplane.status()).technology);

await show(a, [await shown(b, 'ipv4')]);
await show(b, [await shown(a, 'ipv6')]);
report('introduced', [await answered(a, b), await answered(b, a)]);

await show(b, [await shown(a, 'ipv6')], 'drop-all');
report('withoutPolicy', await answered(a, b));
// At least the three echoes of each family; ping sends on while it waits.
report('droppedSix', Number((await b.dataplane.status()).drops?.inputPackets) >= 6);

await show(b, []);
report('unshown', await answered(a, b));
report('peersOfB', (await b.host.run('wg', ['show', INTERFACE, 'peers'])).trim());

await show(b, [await shown(a, 'ipv6')]);
// b begins: it lost its session with the peer, while a would hold on to its own for 15 s (REKEY_TIMEOUT + KEEPALIVE_TIMEOUT).
report('shownAgain', [await answered(b, a), await answered(a, b)]);

const series = await startPing(a.host, b.addresses[1], { intervalMs: 200 });
await series.waitForReply({ deadlineMs: 10_000 });
const restarted: Device = { ...b, dataplane: await openDataplane(b.host, b.privateKey) };
await show(restarted, [await shown(a, 'ipv6')]);
await series.waitForReply({ deadlineMs: 10_000 });
report('lostByRestart', (await series.stop()).lost);

await a.dataplane.down();
await restarted.dataplane.down();
report('remains', [await remains(a), await remains(restarted)]);
