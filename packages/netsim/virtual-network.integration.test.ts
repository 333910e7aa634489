import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import {
  CommandError,
  createVirtualNetwork,
  iperf3,
  namespaceNames,
  ping,
  processesIn,
  startPing,
} from './index.ts';
import type { VirtualHost, VirtualNetwork } from './index.ts';

async function lan(
  network: VirtualNetwork,
  names: readonly string[],
): Promise<readonly VirtualHost[]> {
  const segment = await network.switch('lan', { ipv4: '10.77.0.0/24', ipv6: 'fd77::/64' });
  return await Promise.all(names.map((name) => network.host(name, [{ switch: segment }])));
}

async function pair(network: VirtualNetwork): Promise<readonly [VirtualHost, VirtualHost]> {
  const [a, b] = await lan(network, ['a', 'b']);
  if (a === undefined || b === undefined) throw new Error('unreachable: two hosts were made');
  return [a, b];
}

describe('a virtual network', () => {
  test('lets each of three hosts on one switch reach each other on both families at once', async () => {
    await using network = await createVirtualNetwork();
    const hosts = await lan(network, ['a', 'b', 'c']);
    const paths = hosts.flatMap((from) =>
      hosts.flatMap((to) => [to.ipv4, to.ipv6].map((address) => ({ from, address }))),
    );
    const results = await Promise.all(
      paths.map(({ from, address }) => ping(from, address, { count: 3, intervalMs: 20 })),
    );
    expect(results.map((result) => result.received)).toEqual(paths.map(() => 3));
    expect(hosts.map((host) => host.ipv4)).toEqual(['10.77.0.10', '10.77.0.11', '10.77.0.12']);
    expect(hosts.map((host) => host.ipv6)).toEqual(['fd77::a', 'fd77::b', 'fd77::c']);
  });

  test('carries nothing over a link that is down and everything once it is up again', async () => {
    await using network = await createVirtualNetwork();
    const [a, b] = await pair(network);
    await using echoes = await startPing(a, b.ipv6, { intervalMs: 20 });
    await echoes.waitForReply({ deadlineMs: 5_000 });
    await b.link.down();
    expect(
      (await ping(a, b.ipv4, { count: 2, intervalMs: 20, replyTimeoutMs: 200 })).received,
    ).toBe(0);
    const lastBefore = echoes.lastAnswered;
    await b.link.up();
    await echoes.waitForReply({ deadlineMs: 5_000, after: lastBefore });
    expect((await ping(a, b.ipv4, { count: 2, intervalMs: 20 })).received).toBe(2);
    const result = await echoes.stop();
    expect(result.lost).toContain(lastBefore + 1);
    expect(result.received + result.lost.length).toBe(result.sent);
  });

  test('loses the share of packets asked for in each direction', async () => {
    await using network = await createVirtualNetwork();
    const [a, b] = await pair(network);
    expect((await ping(a, b.ipv4, { count: 1 })).received).toBe(1);
    await b.link.setLoss(0.3);
    const { received } = await ping(a, b.ipv4, { count: 400, intervalMs: 2, replyTimeoutMs: 500 });
    // 400 round trips at 0.7^2 = 49 %: 196 +- 10 (one sigma); 6 sigma on each side.
    expect(received).toBeGreaterThan(136);
    expect(received).toBeLessThan(256);
    await b.link.setLoss(0);
    expect((await ping(a, b.ipv4, { count: 20, intervalMs: 10 })).lost).toEqual([]);
  });

  test('blocks UDP and nothing else, and counts what was tried', async () => {
    await using network = await createVirtualNetwork();
    const [a, b] = await pair(network);
    const udp = await b.link.count('meta l4proto udp');
    await using receiver = await b.spawn('node', ['-e', RECEIVE_UDP]);
    const port = (await receiver.waitForLine(/^port (\d+)$/, { deadlineMs: 20_000 }))[1] ?? '';
    await a.run('node', ['-e', SEND_UDP, port, b.ipv4, 'first']);
    await receiver.waitForLine(/^got first$/, { deadlineMs: 5_000 });
    expect((await udp.read()).packets).toBe(1);
    await b.link.blockUdp(true);
    await a.run('node', ['-e', SEND_UDP, port, b.ipv4, 'second']);
    await expect.poll(async () => (await udp.read()).packets, { timeout: 5_000 }).toBe(2);
    expect((await ping(a, b.ipv4, { count: 1 })).received).toBe(1);
    await b.link.blockUdp(false);
    await a.run('node', ['-e', SEND_UDP, port, b.ipv4, 'third']);
    await receiver.waitForLine(/^got third$/, { deadlineMs: 5_000 });
    expect(receiver.tail().filter((line) => line.startsWith('got'))).toEqual([
      'got first',
      'got third',
    ]);
  });

  test('forwards between two switches through a host that is their gateway', async () => {
    await using network = await createVirtualNetwork();
    const left = await network.switch('left', { ipv4: '10.1.0.0/24', ipv6: 'fd01::/64' });
    const right = await network.switch('right', { ipv4: '10.2.0.0/24', ipv6: 'fd02::/64' });
    const a = await network.host('a', [{ switch: left }]);
    const b = await network.host('b', [{ switch: right }]);
    const gateways = [left, right].map((side) => ({ switch: side, isGateway: true }));
    await network.host('router', gateways, { forwarding: true });
    expect((await ping(a, b.ipv4)).received).toBe(3);
    expect((await ping(b, a.ipv6)).received).toBe(3);
  });

  test('measures TCP and UDP throughput between hosts', async () => {
    await using network = await createVirtualNetwork();
    const [a, b] = await pair(network);
    const tcp = await iperf3({ server: b, client: a, address: b.ipv6, seconds: 1 });
    expect(tcp.bitsPerSecond).toBeGreaterThan(50e6);
    const udp = await iperf3({
      server: a,
      client: b,
      address: a.ipv4,
      seconds: 1,
      udpBitsPerSecond: 5e6,
    });
    expect(udp.bitsPerSecond).toBeGreaterThan(3e6);
    expect(udp.bitsPerSecond).toBeLessThan(6e6);
  });

  test('does not collide with a second network of the same names and addresses', async () => {
    await using one = await createVirtualNetwork();
    await using two = await createVirtualNetwork();
    const [[a], [alone]] = await Promise.all([lan(one, ['a', 'b']), lan(two, ['a'])]);
    if (a === undefined || alone === undefined) throw new Error('unreachable: hosts were made');
    expect((await ping(a, '10.77.0.11', { count: 1 })).received).toBe(1);
    expect((await ping(alone, '10.77.0.11', { count: 1, replyTimeoutMs: 300 })).received).toBe(0);
  });

  test('gives each host its own /run, host name and interfaces', async () => {
    await using network = await createVirtualNetwork();
    const [a, b] = await pair(network);
    await a.run('sh', [
      '-c',
      'mkdir -p /var/run/wireguard && echo mine > /var/run/wireguard/nx0.sock',
    ]);
    expect((await a.exec('cat', ['/run/wireguard/nx0.sock'])).stdout).toBe('mine\n');
    expect((await b.exec('cat', ['/var/run/wireguard/nx0.sock'])).exitCode).toBe(1);
    expect(await b.run('uname', ['-n'])).toBe('b\n');
    expect((await b.run('ls', ['/sys/class/net'])).trim().split('\n')).toEqual(['eth0', 'lo']);
    expect((await b.exec('no-such-program')).exitCode).toBe(127);
  });

  test('runs programs whose process ids, signals and exit statuses are their own', async () => {
    await using network = await createVirtualNetwork();
    const [a] = await pair(network);
    const trap = await a.spawn('sh', [
      '-c',
      'trap "echo asked; exit 7" TERM; echo "pid $$"; while :; do read -r _; done',
    ]);
    const shown = await trap.waitForLine(/^pid (\d+)$/, { deadlineMs: 5_000 });
    expect(Number(shown[1])).toBe(trap.pid);
    await expect(trap.waitForLine(/^never$/, { deadlineMs: 50 })).rejects.toThrow(/pid \d+/);
    expect(await trap.stop()).toEqual({ exitCode: 7, signal: null });
    expect(trap.tail(1)).toEqual(['asked']);
    await expect(a.exec('sleep', ['60'], { timeoutMs: 50 })).rejects.toThrow(/longer than 50 ms/);
    await expect(a.run('false')).rejects.toThrow(CommandError);
    expect((await a.exec('cat', [], { stdin: 'through' })).stdout).toBe('through');
  });

  test('leaves no namespace and no process behind when closed, twice as well', async () => {
    const network = await createVirtualNetwork();
    const [a] = await pair(network);
    const own = `${network.id}-`;
    const stray = await a.spawn('sh', ['-c', 'setsid sleep 1000 & echo "pid $!"; exec sleep 1000']);
    const pid = Number((await stray.waitForLine(/^pid (\d+)$/, { deadlineMs: 5_000 }))[1]);
    expect(await processesIn(a.namespace)).toContain(pid);
    await network.close();
    await network.close();
    expect((await namespaceNames()).filter((name) => name.startsWith(own))).toEqual([]);
    expect(await isRunning(pid)).toBe(false);
    expect((await stray.exited).signal).toBe('SIGKILL');
  });
});

/** A zombie, whose parent has yet to ask for its end, does not run. */
async function isRunning(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '0 (gone) Z');
  return !/\) [ZX]/.test(status);
}

/** Prints its port, then each datagram. */
const RECEIVE_UDP = `
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (message) => console.log('got ' + message));
socket.bind(0, () => console.log('port ' + socket.address().port));
`;

/** Sends its third argument to the port and address given. */
const SEND_UDP = `
const socket = require('node:dgram').createSocket('udp4');
const [port, address, text] = process.argv.slice(1);
socket.send(text, Number(port), address, () => socket.close());
`;
