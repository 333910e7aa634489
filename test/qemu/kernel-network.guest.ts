/**
 * Runs inside a guest: what the kernel there can do that a test machine's may not. Prints one line of JSON per result.
 */
import { createVirtualNetwork, ping, runChecked } from '@nexodus/netsim';
import type { VirtualHost } from '@nexodus/netsim';

const UNDERLAY = { ipv4: '192.0.2.0/24', ipv6: '2001:db8::/64' };
const DELAY_MS = 100;

/** Each host has a /run of its own. */
const KEY_FILE = '/run/nx0.key';

function report(name: string, value: unknown): void {
  console.log(JSON.stringify({ [name]: value }));
}

/** An interface with a fresh key; gives its public key. */
async function addTunnel(host: VirtualHost, addresses: readonly string[]): Promise<string> {
  await host.run('sh', ['-ec', `umask 77; wg genkey > ${KEY_FILE}`]);
  await host.run('ip', ['link', 'add', 'nx0', 'type', 'wireguard']);
  await host.run('wg', ['set', 'nx0', 'listen-port', '51820', 'private-key', KEY_FILE]);
  for (const address of addresses)
    await host.run('ip', ['address', 'add', address, 'dev', 'nx0', 'nodad']);
  await host.run('ip', ['link', 'set', 'nx0', 'mtu', '1280', 'up']);
  return (await host.run('wg', ['show', 'nx0', 'public-key'])).trim();
}

async function addPeer(
  host: VirtualHost,
  publicKey: string,
  endpoint: string,
  addresses: readonly string[],
): Promise<void> {
  const peer = ['peer', publicKey, 'endpoint', endpoint, 'allowed-ips', addresses.join(',')];
  await host.run('wg', ['set', 'nx0', ...peer]);
  for (const address of addresses) await host.run('ip', ['route', 'add', address, 'dev', 'nx0']);
}

for (const module of ['wireguard', 'sch_netem', 'veth', 'nf_tables', 'bridge'])
  await runChecked(['modprobe', module]);
report('kernel', (await runChecked(['uname', '-r'])).trim());

await using network = await createVirtualNetwork();
const segment = await network.switch('lan', UNDERLAY);
const a = await network.host('a', [{ switch: segment }]);
const b = await network.host('b', [{ switch: segment }]);

const keyOfA = await addTunnel(a, ['100.64.0.1/32', 'fd00:77::1/128']);
const keyOfB = await addTunnel(b, ['100.64.0.2/32', 'fd00:77::2/128']);
await addPeer(a, keyOfB, `${b.ipv4}:51820`, ['100.64.0.2/32', 'fd00:77::2/128']);
await addPeer(b, keyOfA, `[${a.ipv6}]:51820`, ['100.64.0.1/32', 'fd00:77::1/128']);
const encrypted = await b.link.count('meta l4proto udp');
report('tunnel4', await ping(a, '100.64.0.2', { count: 5 }));
report('tunnel6', await ping(b, 'fd00:77::1', { count: 5 }));
report('encrypted', (await encrypted.read()).packets);

await a.run('tc', ['qdisc', 'add', 'dev', 'eth0', 'root', 'netem', 'delay', `${DELAY_MS}ms`]);
report('delayed', await ping(a, '100.64.0.2', { count: 5 }));
