import { WireGuardPrivateKey, formatX25519PublicKey } from '@nexodus/wireguard';
import { describe, expect, test } from 'vitest';
import { planDevice } from './core/device-plan.ts';
import type { ShownPeer } from './core/device-plan.ts';
import { createDataplane } from './dataplane.ts';
import { DataplaneError } from './dataplane-error.ts';
import { createMemoryHost } from './memory-host.ts';
import type { MemoryHost } from './memory-host.ts';

const privateKey = WireGuardPrivateKey.generate();
const startAt = new Date('2030-01-01T00:00:00Z');
const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };

function start(host: MemoryHost) {
  return createDataplane({ ...host, privateKey, logger: quiet, now: () => startAt });
}

function newPeer(host: number): ShownPeer & { publicKey: string } {
  return {
    publicKey: formatX25519PublicKey(WireGuardPrivateKey.generate().publicKey),
    addresses: [`100.64.0.${host}`, `fd00::${host}`],
    endpoint: `192.0.2.${host}:51820`,
  };
}

function planFor(peers: readonly ShownPeer[], own = '100.64.0.1') {
  return planDevice({ addresses: [own], peers });
}

const failure = new DataplaneError('command-failed', 'No.', 'Try again.');

describe('apply', () => {
  test('brings everything up, and does nothing the second time', async () => {
    const host = createMemoryHost();
    const dataplane = start(host);
    const plan = planFor([newPeer(7)]);
    await dataplane.apply(plan);
    const addresses = ['100.64.0.1/32'];
    expect(await dataplane.status()).toMatchObject({ condition: 'up', addresses, failure: null });
    expect(await host.network.read()).toMatchObject({ routes: plan.routes });
    host.meddle.fail('replace', failure);
    host.meddle.fail('applyPeerChanges', failure);
    await dataplane.apply(plan);
  });

  test('happens in the order called, also when calls overlap', async () => {
    const host = createMemoryHost();
    const dataplane = start(host);
    const [one, two] = [newPeer(7), newPeer(8)];
    await Promise.all([
      dataplane.apply(planFor([one])),
      dataplane.apply(planFor([one, two])),
      dataplane.apply(planFor([two])),
    ]);
    expect((await dataplane.status()).peers).toMatchObject([{ publicKey: two.publicKey }]);
  });

  test('installs a peer again that was removed and came back with the same key', async () => {
    const host = createMemoryHost();
    const dataplane = start(host);
    const peer = newPeer(7);
    await dataplane.apply(planFor([peer]));
    await dataplane.apply(planFor([]));
    await dataplane.apply(planFor([peer]));
    const { publicKey, endpoint } = peer;
    expect((await dataplane.status()).peers).toMatchObject([{ publicKey, endpoint }]);
  });

  test('leaves the endpoint to which a peer roamed until the plan asks for another', async () => {
    const host = createMemoryHost();
    const dataplane = start(host);
    const peer = newPeer(7);
    const heldEndpoint = async () => (await host.tunnel.read())?.peers[0]?.endpoint;
    await dataplane.apply(planFor([peer]));
    host.meddle.roam(peer.publicKey, '198.51.100.1:4000', startAt);
    await dataplane.apply(planFor([peer, newPeer(8)]));
    expect(await heldEndpoint()).toBe('198.51.100.1:4000');
    await dataplane.apply(planFor([{ ...peer, endpoint: '203.0.113.1:51820' }]));
    expect(await heldEndpoint()).toBe('203.0.113.1:51820');
  });

  test('withdraws and admits nothing when building fails, and repair completes it', async () => {
    const host = createMemoryHost();
    const dataplane = start(host);
    const [gone, added] = [newPeer(7), newPeer(8)];
    await dataplane.apply(planFor([gone]));
    host.meddle.fail('change', failure);
    await expect(dataplane.apply(planFor([added]))).rejects.toBe(failure);
    expect(await dataplane.status()).toMatchObject({ condition: 'degraded', failure, peers: [] });
    expect(await host.firewall.read()).toMatchObject({ peerAddresses: [] });
    host.meddle.fail('change', null);
    await dataplane.repair();
    expect(await dataplane.status()).toMatchObject({ condition: 'up', failure: null });
    const peerAddresses = ['100.64.0.8/32', 'fd00::8/128'];
    expect(await host.firewall.read()).toMatchObject({ peerAddresses });
  });

  test('makes no interface while the firewall cannot be installed', async () => {
    const host = createMemoryHost();
    host.meddle.fail('replace', failure);
    await expect(start(host).apply(planFor([newPeer(7)]))).rejects.toBe(failure);
    expect(await host.network.read()).toBeNull();
  });

  test('removes a withdrawn peer from the tunnel although the firewall cannot be changed', async () => {
    const host = createMemoryHost();
    const dataplane = start(host);
    await dataplane.apply(planFor([newPeer(7)]));
    host.meddle.fail('update', failure);
    await expect(dataplane.apply(planFor([]))).rejects.toBe(failure);
    expect(await host.tunnel.read()).toMatchObject({ peers: [] });
  });
});

describe('an address of a network at hand', () => {
  const lan = { interfaceName: 'eth0', prefix: '100.64.0.0/24' };

  test('is refused as own address by interface and prefix, and nothing is made', async () => {
    const host = createMemoryHost();
    host.meddle.joinNetwork(lan);
    const applied = start(host).apply(planFor([newPeer(7)]));
    await expect(applied).rejects.toMatchObject({ reason: 'address-collision' });
    await expect(applied).rejects.toThrow(/100\.64\.0\.1\/32 .* 100\.64\.0\.0\/24, .* eth0/);
    expect(await host.network.read()).toBeNull();
    expect(await host.firewall.read()).toBeNull();
  });

  test('takes everything off a tunnel that was up before the network came', async () => {
    const host = createMemoryHost();
    const dataplane = start(host);
    await dataplane.apply(planFor([newPeer(7)]));
    host.meddle.joinNetwork(lan);
    await expect(dataplane.repair()).rejects.toMatchObject({ reason: 'address-collision' });
    expect(await host.network.read()).toMatchObject({ addresses: [], routes: [] });
    expect(await dataplane.status()).toMatchObject({ condition: 'degraded', peers: [] });
  });

  test('closes the tunnel that an earlier nexd left open', async () => {
    const host = createMemoryHost();
    await start(host).apply(planFor([newPeer(7)]));
    host.meddle.joinNetwork(lan);
    const restarted = start(host);
    const applied = restarted.apply(planFor([newPeer(7)]));
    await expect(applied).rejects.toMatchObject({ reason: 'address-collision' });
    expect(await host.network.read()).toMatchObject({ addresses: [], routes: [] });
    expect(await restarted.status()).toMatchObject({ peers: [] });
    expect(await host.firewall.read()).toMatchObject({ peerAddresses: [] });
  });

  test('is left out as route and reported, while the other routes are made', async () => {
    const host = createMemoryHost();
    host.meddle.joinNetwork({ interfaceName: 'eth0', prefix: '192.168.1.0/24' });
    const dataplane = start(host);
    const prefixes = ['192.168.1.128/25', '192.168.0.0/16'];
    await dataplane.apply(planFor([{ ...newPeer(7), prefixes }]));
    const routes = ['100.64.0.7/32', 'fd00::7/128', '192.168.0.0/16'];
    expect(await host.network.read()).toMatchObject({ routes });
    const refusedRoutes = [{ planned: '192.168.1.128/25', onLink: { interfaceName: 'eth0' } }];
    expect(await dataplane.status()).toMatchObject({ condition: 'degraded', refusedRoutes });
  });
});

test('a machine with IPv6 switched off gets the IPv4 half of the plan, and says so', async () => {
  const host = createMemoryHost();
  host.meddle.switchIpv6Off();
  const dataplane = start(host);
  await dataplane.apply(planFor([newPeer(7)]));
  expect(await host.network.read()).toMatchObject({
    isUp: true,
    addresses: ['100.64.0.1/32'],
    routes: ['100.64.0.7/32'],
  });
  expect(await dataplane.status()).toMatchObject({
    condition: 'degraded',
    failure: null,
    isIpv6Off: true,
  });
  expect(await dataplane.repair()).toEqual([]);
});

describe('repair', () => {
  test('does nothing when nothing drifted, before apply and after down', async () => {
    const dataplane = start(createMemoryHost());
    expect(await dataplane.repair()).toEqual([]);
    await dataplane.apply(planFor([newPeer(7)]));
    expect(await dataplane.repair()).toEqual([]);
    await dataplane.down();
    expect(await dataplane.repair()).toEqual([]);
    expect(await dataplane.status()).toMatchObject({ condition: 'down' });
  });

  test.each<[string, (host: MemoryHost) => void, string[]]>([
    [
      'a removed table',
      (host) => host.meddle.removeTable(),
      ['firewall-replace', 'firewall-update'],
    ],
    ['a changed rule', (host) => host.meddle.changeRules(), ['firewall-replace']],
    ['a foreign route', (host) => host.meddle.addRoute('10.0.0.0/8'), ['network']],
  ])('mends %s', async (_, damage, kinds) => {
    const host = createMemoryHost();
    const dataplane = start(host);
    await dataplane.apply(planFor([newPeer(7)]));
    damage(host);
    expect(await dataplane.repair()).toEqual(kinds);
    expect(await dataplane.repair()).toEqual([]);
  });

  test('makes the interface again when it vanished, peers and endpoints included', async () => {
    const host = createMemoryHost();
    const dataplane = start(host);
    const peer = newPeer(7);
    await dataplane.apply(planFor([peer]));
    const { interfaceIndex } = await dataplane.status();
    host.meddle.removeInterface();
    expect(await dataplane.status()).toMatchObject({ interfaceIndex: null });
    expect(await dataplane.repair()).toContain('tunnel-create');
    const { publicKey, endpoint } = peer;
    const status = await dataplane.status();
    expect(status.peers).toMatchObject([{ publicKey, endpoint }]);
    expect(status.interfaceIndex).not.toBe(interfaceIndex);
  });
});

describe('a restarted nexd', () => {
  test('adopts the tunnel and leaves the endpoint of a live session alone', async () => {
    const host = createMemoryHost();
    const [live, idle, gone] = [newPeer(7), newPeer(8), newPeer(9)];
    await start(host).apply(planFor([live, idle, gone]));
    host.meddle.roam(live.publicKey, '198.51.100.1:4000', new Date(startAt.getTime() - 60_000));
    host.meddle.roam(idle.publicKey, '198.51.100.2:4000', new Date(startAt.getTime() - 200_000));
    const dataplane = start(host);
    await dataplane.apply(planFor([live, idle]));
    expect((await dataplane.status()).peers).toMatchObject([
      { publicKey: live.publicKey, endpoint: '198.51.100.1:4000' },
      { publicKey: idle.publicKey, endpoint: idle.endpoint },
    ]);
  });

  test('refuses an interface that is not ours without a firewall or any other change', async () => {
    const host = createMemoryHost();
    host.meddle.takeInterface();
    const dataplane = start(host);
    const taken = { reason: 'interface-taken' };
    await expect(dataplane.apply(planFor([newPeer(7)]))).rejects.toMatchObject(taken);
    expect(await host.firewall.read()).toBeNull();
    expect(await host.network.read()).toMatchObject({ addresses: [], isUp: false });
    await expect(dataplane.down()).rejects.toMatchObject(taken);
  });

  test('takes down what an earlier one left', async () => {
    const host = createMemoryHost();
    await start(host).apply(planFor([newPeer(7)]));
    await start(host).down();
    expect(await host.network.read()).toBeNull();
    expect(await host.firewall.read()).toBeNull();
  });
});
