import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { planDevice } from './core/device-plan.ts';
import {
  createPair,
  introduce,
  openDataplane,
  ping,
  pings,
  reaches,
  removeMachines,
  show,
  shown,
} from './testing/machine.ts';
import type { Machine } from './testing/machine.ts';
import { createNetworkNamespace } from './testing/network-namespace.ts';

/** Processes whose command line names the interface. */
async function processesOf(interfaceName: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((entry) => /^[0-9]+$/.test(entry));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return lines.filter((line) => line.split('\0').includes(interfaceName));
}

describe('two machines on one network', () => {
  let alpha: Machine;
  let beta: Machine;

  beforeEach(async () => {
    [alpha, beta] = await createPair();
  });

  afterEach(() => removeMachines([alpha, beta]));

  test('reach each other on IPv4 and IPv6 once each is shown the other', async () => {
    await introduce(alpha, beta);
    const status = await alpha.dataplane.status();
    expect(status).toMatchObject({ condition: 'up', technology: 'wireguard-go' });
    expect(status.peers[0]?.latestHandshakeAt).toBeInstanceOf(Date);
    expect(status.peers[0]?.rxBytes).toBeGreaterThan(0);
    const routes = await alpha.namespace.run('ip route show');
    expect(routes).toContain('100.64.0.2 dev');
    expect(routes).not.toContain('100.64.0.0/10');
    const candidates = await alpha.dataplane.localAddresses();
    const addresses = candidates.map(({ address }) => address).toSorted();
    expect(addresses).toEqual(['192.0.2.1', '2001:db8::1']);
  });

  test('a peer without an endpoint answers at once when its endpoint is learnt, whatever was tried before', async () => {
    const { endpoint, ...nowhere } = await shown(beta);
    await show(beta, [await shown(alpha)]);
    await show(alpha, [nowhere]);
    expect(await pings(alpha, beta)).toEqual([false, false]);
    const learntAtMs = performance.now();
    await show(alpha, [{ ...nowhere, endpoint }]);
    await reaches(alpha, beta);
    expect(performance.now() - learntAtMs).toBeLessThan(2_500); // REKEY_TIMEOUT: 5 s after the vain attempt
  });

  test('a machine that does not show its peer drops what that peer sends, and counts it', async () => {
    await introduce(alpha, beta);
    await show(beta, [await shown(alpha)], 'drop-all');
    expect(await pings(alpha, beta)).toEqual([false, false]);
    expect((await beta.dataplane.status()).drops?.inputPackets).toBeGreaterThanOrEqual(2);
    expect(await pings(beta, alpha)).toEqual([false, false]);
    expect((await beta.dataplane.status()).drops?.outputPackets).toBeGreaterThanOrEqual(2);
  });

  test('a withdrawn peer is gone from tunnel, routes and firewall, and returns when shown', async () => {
    await introduce(alpha, beta);
    await show(beta, []);
    expect(await pings(alpha, beta)).toEqual([false, false]);
    expect((await beta.dataplane.status()).peers).toEqual([]);
    expect(await beta.namespace.run('ip route show')).not.toContain('100.64.0.1');
    await show(beta, [await shown(alpha)]);
    await reaches(beta, alpha);
    await reaches(alpha, beta);
  });

  test('forwards nothing between the tunnel and other interfaces', async () => {
    const behind = await createNetworkNamespace();
    try {
      await beta.namespace.run(`ip link add lan type veth peer name eth0 netns ${behind.name}`);
      await beta.namespace.run('ip address add 10.9.0.1/24 dev lan');
      await beta.namespace.run('ip link set lan up');
      await beta.namespace.run('sysctl -q -w net.ipv4.ip_forward=1');
      await behind.run('ip address add 10.9.0.2/24 dev eth0');
      await behind.run('ip link set eth0 up');
      await behind.run('ip route add default via 10.9.0.1');
      const counted =
        'add table ip seen\nadd chain ip seen in { type filter hook input priority 0 ; }\n' +
        'add rule ip seen in icmp type echo-request counter\n';
      await behind.runner.run('nft', ['-f', '-'], { stdin: counted });
      await introduce(alpha, beta);
      await show(alpha, [await shown(beta, ['10.9.0.0/24'])]);
      const forwarded = async () => (await beta.dataplane.status()).drops?.forwardPackets;
      expect(await ping(alpha, '10.9.0.1')).toBe(true);
      expect(await ping(alpha, '10.9.0.2')).toBe(false);
      expect(await forwarded()).toBe(1);
      expect(await behind.run('nft list table ip seen')).toContain('counter packets 0');
      const outward = await behind.runner.probe('ping', ['-n', '-c', '1', '-W', '1', '100.64.0.1']);
      expect(outward.exitCode).toBe(1);
      expect(await forwarded()).toBe(2);
      expect((await alpha.dataplane.status()).drops?.inputPackets).toBe(0);
    } finally {
      await behind.remove();
    }
  });

  test('a neighbour on the network does not reach a tunnel address around the tunnel', async () => {
    await introduce(alpha, beta);
    await alpha.dataplane.down();
    await alpha.namespace.run('ip route add 100.64.0.2/32 via 192.0.2.2');
    expect(await ping(alpha, '100.64.0.2')).toBe(false);
    expect((await beta.dataplane.status()).drops?.strayPackets).toBeGreaterThanOrEqual(1);
  });

  test('a restarted nexd adopts the tunnel, and not one ping of a running series is lost', async () => {
    await introduce(alpha, beta);
    const [before] = await processesOf(alpha.namespace.interfaceName);
    const args = ['-n', '-q', '-c', '20', '-i', '0.05', '-W', '1', '100.64.0.2'];
    const series = alpha.namespace.runner.run('ping', args);
    const restarted = await openDataplane(alpha.namespace, alpha.privateKey);
    const peers = [await shown(beta)];
    await restarted.apply(planDevice({ addresses: alpha.addresses, peers }));
    expect((await series).stdout).toContain(' 0% packet loss');
    expect(await restarted.status()).toMatchObject({ condition: 'up' });
    expect(await processesOf(alpha.namespace.interfaceName)).toEqual([before]);
  });

  test('repair brings back a killed tunnel, a removed table and removed routes', async () => {
    await introduce(alpha, beta);
    const { interfaceName, run, stateDir } = alpha.namespace;
    await run(`nft delete table inet nexodus_${interfaceName}`);
    await run('ip route del 100.64.0.2/32');
    expect(await alpha.dataplane.repair()).toEqual([
      'firewall-replace',
      'network',
      'firewall-update',
    ]);
    await reaches(alpha, beta);
    const { interfaceIndex } = await alpha.dataplane.status();
    const pid = Number(await readFile(`${stateDir}/wireguard-go-${interfaceName}.pid`, 'utf8'));
    process.kill(pid, 'SIGKILL');
    await vi.waitFor(
      async () => expect(await alpha.dataplane.repair()).toContain('tunnel-create'),
      { timeout: 10_000 },
    );
    const made = (await alpha.dataplane.status()).interfaceIndex;
    expect([interfaceIndex, made]).toEqual([expect.any(Number), expect.any(Number)]);
    expect(made).not.toBe(interfaceIndex);
    await show(beta, [await shown(alpha)]);
    await reaches(alpha, beta);
  });

  test('a tunnel address inside an on-link prefix is refused by interface and prefix', async () => {
    await alpha.namespace.run('ip address add 100.64.0.200/24 dev eth0');
    const applied = show(alpha, [await shown(beta)]);
    await expect(applied).rejects.toMatchObject({ reason: 'address-collision' });
    await expect(applied).rejects.toThrow(/100\.64\.0\.0\/24.*eth0/);
    expect((await alpha.dataplane.status()).addresses).toEqual([]);
  });

  test('down leaves no interface, route, table, process, socket or state', async () => {
    await introduce(alpha, beta);
    const { interfaceName, run, stateDir } = alpha.namespace;
    await alpha.dataplane.down();
    expect(await run('ip link show')).not.toContain(interfaceName);
    const routes =
      (await run('ip route show table all')) + (await run('ip -6 route show table all'));
    expect(routes).not.toMatch(/100\.64\.|fd00:64:/);
    expect(await run('nft list ruleset')).toBe('');
    expect(await processesOf(interfaceName)).toEqual([]);
    expect(existsSync(`/var/run/wireguard/${interfaceName}.sock`)).toBe(false);
    expect(await readdir(stateDir)).toEqual([]);
    expect((await alpha.dataplane.status()).condition).toBe('down');
  });
});
