import { ACCESS_KINDS, createInternet, createVirtualNetwork, NAT_SEEN } from '@nexodus/netsim';
import type { AccessKind, Internet, Site, VirtualHost, VirtualNetwork } from '@nexodus/netsim';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { discoverNat, startNatDiscoveryServer, startOwnDiscoveryServer } from './discover-nat.ts';
import { openUdpSocket } from './udp-socket.ts';
import type { Endpoint, UdpSocket } from './udp-socket.ts';

/** Two public machines: one with two sockets, one with one. */
type Servers = {
  readonly first: UdpSocket;
  readonly firstOther: UdpSocket;
  readonly second: UdpSocket;
};

let network: VirtualNetwork;
let internet: Internet;
let servers: Servers;

beforeAll(async () => {
  network = await createVirtualNetwork();
  internet = await createInternet(network);
  const hosts = await Promise.all([internet.host('first'), internet.host('second')]);
  servers = {
    first: await openUdpSocket(hosts[0]),
    firstOther: await openUdpSocket(hosts[0]),
    second: await openUdpSocket(hosts[1]),
  };
});

afterAll(() => network?.close());

describe('a NAT of each kind', () => {
  test.each([
    ['coturn', 'c', startNatDiscoveryServer],
    ['our own STUN server', 'o', startOwnDiscoveryServer],
  ] as const)('is named as the table names it by %s', async (_server, prefix, start) => {
    const server = await start(await internet.host(`stun-${prefix}`, { addresses: 2 }));
    const kinds = ACCESS_KINDS.filter((kind) => kind === 'open' || NAT_SEEN[kind] !== undefined);
    const found = await Promise.all(
      kinds.map(async (access, index) => {
        const name = `${prefix}${index}`;
        const site = await internet.site(name, { access });
        return [access, await discoverNat(await site.host(`${name}-m`), server)];
      }),
    );
    expect(found).toEqual(kinds.map((kind) => [kind, NAT_SEEN[kind] ?? 'none']));
  });

  test.each([
    ['eim-eif', ['same address', 'stranger']],
    ['eim-adf', ['same address']],
    ['eim-apdf', []],
    ['apdm-apdf', []],
    ['carrier-grade', []],
  ] as const)('%s lets in, besides answers, %j', async (access, expected) => {
    const site = await internet.site(siteName('f', access), { access });
    await using inside = await openUdpSocket(await site.host(`${site.name}-m`));
    const mapped = await seenBy(servers.first, inside);
    const arriving = await outermost(site).link.count(`udp dport ${mapped.port}`);
    servers.firstOther.send('same address', mapped);
    servers.second.send('stranger', mapped);
    await expect.poll(async () => (await arriving.read()).packets, { timeout: 5_000 }).toBe(2);
    servers.first.send('answer', mapped);
    await inside.received('answer');
    expect([...inside.texts()].toSorted()).toEqual([...expected, 'answer'].toSorted());
  });

  test.each([
    ['eim-eif', 1],
    ['eim-adf', 1],
    ['eim-apdf', 1],
    ['apdm-apdf', 3],
    ['carrier-grade', 3],
  ] as const)('%s maps one socket to %i outside when it talks to three', async (access, count) => {
    const site = await internet.site(siteName('m', access), { access });
    await using inside = await openUdpSocket(await site.host(`${site.name}-m`));
    const seen = await Promise.all(Object.values(servers).map((server) => seenBy(server, inside)));
    expect(new Set(seen.map(({ port }) => port)).size).toBe(count);
    expect(new Set(seen.map(({ address }) => address))).toEqual(
      new Set([site.routers.at(-1)?.outsideIpv4]),
    );
  });

  test('gives two machines with the same port a socket each', async () => {
    const sites = await Promise.all(
      (['eim-eif', 'eim-apdf'] as const).map((access, index) =>
        internet.site(`p${index}`, { access }),
      ),
    );
    for (const site of sites) {
      const [a, b] = await twoSockets(site, 5_000);
      const ports = [await seenBy(servers.first, a), await seenBy(servers.first, b)];
      expect(ports[0]?.port).toBe(5_000);
      expect(ports[1]?.port).not.toBe(5_000);
    }
  });

  test('lets no stranger in by a mapping of before its restart', async () => {
    const site = await internet.site('restart', { access: 'eim-eif' });
    await using inside = await openUdpSocket(await site.host('restart-m'));
    const mapped = await seenBy(servers.first, inside);
    await site.routers[0]?.forgetMappings();
    const arriving = await outermost(site).link.count(`udp dport ${mapped.port}`);
    servers.second.send('too early', mapped);
    await expect.poll(async () => (await arriving.read()).packets, { timeout: 5_000 }).toBe(1);
    const again = await seenBy(servers.first, inside);
    servers.second.send('in time', again);
    await inside.received('in time');
    expect(inside.texts()).toEqual(['in time']);
  });
});

describe('hairpinning', () => {
  test.each([
    ['eim-eif', ['a1', 'a2']],
    ['eim-adf', ['a2']],
    ['eim-apdf', ['a2']],
  ] as const)('of %s follows its filtering', async (access, expected) => {
    const site = await internet.site(siteName('h', access), {
      access,
      hairpin: true,
    });
    const [a, b] = await twoSockets(site, 5_000);
    expect(await exchange(a, b)).toEqual({ received: expected, addressesAreOutside: true });
  });

  test.each(['eim-eif', 'eim-apdf'] as const)('is off by default in %s', async (access) => {
    const site = await internet.site(siteName('n', access), { access });
    const [a, b] = await twoSockets(site, 5_000);
    expect((await exchange(a, b)).received).toEqual([]);
  });

  test('of a carrier joins two customers, and none without it', async () => {
    const received = await Promise.all(
      [true, false].map(async (hairpin, index) => {
        const carrier = await internet.carrier(`c${index}`, { kind: 'eim-apdf', hairpin });
        const sockets = ['a', 'b'].map(async (end) => {
          const access = 'carrier-grade';
          const site = await internet.site(`c${index}${end}`, { access, carrier });
          return await openUdpSocket(await site.host(`c${index}${end}-m`));
        });
        const [a, b] = await Promise.all(sockets);
        if (a === undefined || b === undefined) throw new Error('unreachable: two were opened');
        return (await exchange(a, b)).received;
      }),
    );
    expect(received).toEqual([['a2'], []]);
  });
});

/** A name that only the site of this test and access has. */
function siteName(test: string, access: AccessKind): string {
  return `${test}${ACCESS_KINDS.indexOf(access)}`;
}

function outermost(site: Site): VirtualHost {
  const router = site.routers.at(-1);
  if (router === undefined) throw new RangeError(`${site.name} has no router`);
  return router.host;
}

/** As what a public machine sees an inside socket. */
async function seenBy(server: UdpSocket, inside: UdpSocket): Promise<Endpoint> {
  const text = `from-${inside.host.name}-${crypto.randomUUID()}`;
  inside.send(text, { address: server.host.ipv4, port: server.port });
  return await server.received(text);
}

async function twoSockets(site: Site, port: number): Promise<readonly [UdpSocket, UdpSocket]> {
  const hosts = await Promise.all(['a', 'b'].map((end) => site.host(`${site.name}-${end}`)));
  const [a, b] = await Promise.all(hosts.map((host) => openUdpSocket(host, { port })));
  if (a === undefined || b === undefined) throw new Error('unreachable: two were opened');
  return [a, b];
}

/**
 * Both send to the other's outside socket in turn: a1 (to somebody who has sent nothing yet), b1, a2. The marks from the
 * public server tell that nothing is on the way any more.
 *
 * @returns what b received of a, and whether all that passed carried the sender's outside address
 */
async function exchange(
  a: UdpSocket,
  b: UdpSocket,
): Promise<{ received: readonly string[]; addressesAreOutside: boolean }> {
  const [outsideA, outsideB] = [await seenBy(servers.first, a), await seenBy(servers.first, b)];
  const turn = async (text: string, from: UdpSocket, to: Endpoint): Promise<void> => {
    from.send(text, to);
    // The same socket speaks to the server after it: what the server hears follows what the router has dealt with.
    await seenBy(servers.first, from);
  };
  await turn('a1', a, outsideB);
  await turn('b1', b, outsideA);
  await turn('a2', a, outsideB);
  servers.first.send('end', outsideB);
  await b.received('end');
  const received = b.texts().filter((text) => text !== 'end');
  const sources = await Promise.all(received.map((text) => b.received(text)));
  const addressesAreOutside = sources.every(
    (source) => source.address === outsideA.address && source.port === outsideA.port,
  );
  return { received, addressesAreOutside };
}
