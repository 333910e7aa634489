import { expect, test } from 'vitest';
import { TUNNEL } from './lab-machine.ts';
import type { Lab } from './lab.ts';
import { isWhole, measurePairs } from './measure-pairs.ts';
import { mtuOf, routesOver } from './network-state.ts';

/** The tunnel carries the IPv6 minimum (protocol.md section 4). */
const TUNNEL_MTU_BYTES = 1280;

/** All machines reach each other, by the routes they shall have and no others. */
export function describeReachability(running: () => Lab): void {
  test('each machine reaches each other on both families', async () => {
    const pairs = await measurePairs(running().machines, { throughputSeconds: 0, echoes: 3 });
    expect(pairs).toHaveLength(6);
    expect(pairs.filter((pair) => !isWhole(pair, false))).toEqual([]);
  });

  test('TCP flows through the tunnel on both families', async () => {
    const { machines } = running();
    const pairs = await measurePairs(machines.slice(0, 2), { throughputSeconds: 1, echoes: 1 });
    expect(pairs.filter((pair) => !isWhole(pair, true))).toEqual([]);
  });

  test('the tunnel has an MTU of 1280 bytes', async () => {
    const { machines } = running();
    const found = await Promise.all(machines.map(({ host }) => mtuOf(host, TUNNEL)));
    expect(found).toEqual(machines.map(() => TUNNEL_MTU_BYTES));
  });

  test('each machine has a route to each peer, and none to more', async () => {
    const { machines } = running();
    for (const machine of machines) {
      const peers = machines.filter((other) => other !== machine);
      const wanted = peers.flatMap(({ ipv4, ipv6 }) => [`${ipv4}/32`, `${ipv6}/128`]).toSorted();
      const own = `${machine.ipv6}/128`; // the kernel's own route to an IPv6 address
      const found = await routesOver(machine.host, TUNNEL);
      expect(found.filter((route) => route !== own)).toEqual(wanted);
    }
  });

  test('nexctl tells status and peers, and pings by name', async () => {
    const { machines } = running();
    const [a, b, c] = machines.map((machine) => machine);
    if (a === undefined || b === undefined || c === undefined) throw new Error('three machines');
    const nexd = (...args: string[]) => a.nexctl.text(['nexd', ...a.daemonArguments, ...args]);
    const status = await nexd('status');
    expect(status).toContain(a.ipv4);
    const peers = await nexd('peers');
    for (const { name, ipv4 } of [b, c]) {
      expect(peers).toContain(name);
      expect(peers).toContain(ipv4);
    }
    expect(await nexd('ping', '-c', '1', 'b')).toMatch(/ms/);
  });
}
