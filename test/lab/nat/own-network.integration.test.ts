/** What the agent finds of its own network from behind accesses of every kind. */
import { fileURLToPath } from 'node:url';
import {
  ACCESS_KINDS,
  type AccessKind,
  createInternet,
  createVirtualNetwork,
  type Internet,
  NAT_SEEN,
  type SiteOptions,
  type VirtualHost,
  type VirtualNetwork,
} from '@nexodus/netsim';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';

const family = z.object({
  name: z.string(),
  isUsable: z.boolean(),
  isPortPreserved: z.boolean().optional(),
  hairpin: z.string(),
  mapped: z.array(z.object({ mapped: z.object({ address: z.string(), port: z.number() }) })),
});
const found = z.object({
  ipv4: family,
  ipv6: family,
  mtuBytes: z.number().optional(),
  advice: z.array(z.string()),
});

const PORT = 3_478;
const START_DEADLINE_MS = 20_000;

let network: VirtualNetwork;
let internet: Internet;
let servers: readonly string[];

beforeAll(async () => {
  network = await createVirtualNetwork();
  internet = await createInternet(network);
  const hosts = await Promise.all(
    ['stun-a', 'stun-b'].map((name) => internet.host(name, { addresses: 2 })),
  );
  servers = (await Promise.all(hosts.map(startStun))).flat();
});

afterAll(() => network?.close());

/** Our server on both addresses of each family; gives where it is asked. */
async function startStun(host: VirtualHost): Promise<readonly string[]> {
  const program = fileURLToPath(new URL('./stun-server.ts', import.meta.url));
  const pairs = [host.links.map(({ ipv4 }) => ipv4), host.links.map(({ ipv6 }) => ipv6)];
  return await Promise.all(
    pairs.map(async ([first = '', second = '']) => {
      const process = await host.spawn('node', [program, first, second, String(PORT)]);
      await process.waitForLine(/STUN answers/, { deadlineMs: START_DEADLINE_MS });
      return first.includes(':') ? `[${first}]:${PORT}` : `${first}:${PORT}`;
    }),
  );
}

async function check(name: string, options: SiteOptions, asked = servers) {
  const site = await internet.site(name, options);
  const machine = await site.host(`${name}-m`);
  const program = fileURLToPath(new URL('./check-own-network.ts', import.meta.url));
  const said = await machine.run('node', [program, ...asked]);
  return { site, machine, found: found.parse(JSON.parse(said)) };
}

/** What the IPv4 NAT of an access must be called. */
function nameOf(access: AccessKind): string {
  if (access === 'udp-blocked' || access === 'http-proxy-only') return 'udp-blocked';
  if (access === 'ipv6-only') return 'unknown';
  return NAT_SEEN[access] ?? 'none';
}

describe('the NAT of an access', () => {
  test('is called what the table calls it, and filters and firewalls are found', async () => {
    const all = await Promise.all(
      ACCESS_KINDS.map(async (access, index) => [access, await check(`o${index}`, { access })]),
    );
    const names = Object.fromEntries(all) as Record<AccessKind, Awaited<ReturnType<typeof check>>>;
    expect(ACCESS_KINDS.map((access) => [access, names[access].found.ipv4.name])).toEqual(
      ACCESS_KINDS.map((access) => [access, nameOf(access)]),
    );
    expect(names['ipv6-only'].found.ipv6).toMatchObject({ name: 'firewall', isUsable: true });
    expect(names.open.found.ipv6.name).toBe('none');
    for (const access of ['eim-eif', 'eim-apdf'] as const) {
      const { found: seen, site } = names[access];
      expect(seen.ipv4.isPortPreserved).toBe(true);
      const outside = site.routers.at(-1)?.outsideIpv4;
      expect(new Set(seen.ipv4.mapped.map(({ mapped }) => mapped.address))).toEqual(
        new Set([outside]),
      );
    }
    expect(ACCESS_KINDS.filter((access) => names[access].found.ipv4.isUsable)).toEqual(
      ACCESS_KINDS.filter((access) => access !== 'ipv6-only'),
    );
    expect(names['apdm-apdf'].found.advice).toContain('hard-nat');
    expect(names['udp-blocked'].found.advice).toContain('udp-blocked');
    expect(names['eim-apdf'].found.advice).not.toContain('hard-nat');
    expect(names.open.found.mtuBytes).toBe(1_500);
  });

  test.each(['eim-eif', 'eim-adf', 'eim-apdf'] as const)(
    '%s turns packets round only where it hairpins',
    async (access) => {
      const at = ACCESS_KINDS.indexOf(access);
      const turned = await check(`h${at}`, { access, hairpin: true });
      const dropped = await check(`n${at}`, { access });
      expect([turned, dropped].map(({ found: { ipv4 } }) => [ipv4.name, ipv4.hairpin])).toEqual([
        [access, 'yes'],
        [access, 'no'],
      ]);
    },
  );

  test('is told by one server with two addresses as by two', async () => {
    const [one] = servers.filter((server) => !server.startsWith('['));
    for (const access of ['eim-apdf', 'apdm-apdf'] as const) {
      const name = `s${ACCESS_KINDS.indexOf(access)}`;
      const { found: seen } = await check(name, { access }, [one ?? '']);
      expect(seen.ipv4.name).toBe(access);
    }
  });
});
