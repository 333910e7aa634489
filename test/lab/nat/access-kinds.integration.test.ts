import { ACCESS_KINDS, createInternet, createVirtualNetwork } from '@nexodus/netsim';
import { describe, expect, test } from 'vitest';
import { openTarget, waysTo } from './ways-to-target.ts';

describe('two sites of every kind at once', () => {
  test('reach a public machine by what their access carries, and nothing else', async () => {
    await using network = await createVirtualNetwork();
    const internet = await createInternet(network);
    const target = await openTarget(await internet.host('target'));
    const sites = await Promise.all(
      ACCESS_KINDS.flatMap((access, index) =>
        ['a', 'b'].map(async (end) => {
          const ipv4 = '192.168.200.0/24';
          const site = await internet.site(`g${index}${end}`, { access, ipv4 });
          return { site, machine: await site.host(`g${index}${end}-m`) };
        }),
      ),
    );
    const ways = await Promise.all(
      sites.map(async ({ site, machine }) => [
        site.access,
        await waysTo(target, machine, site.proxy),
      ]),
    );
    const all = ['udp4', 'tcp4'];
    const expected: Readonly<Record<string, readonly string[]>> = {
      open: ['udp4', 'udp6', 'tcp4', 'tcp6'],
      'ipv6-only': ['udp6', 'tcp6'],
      'udp-blocked': ['tcp4'],
      'http-proxy-only': ['connect'],
    };
    expect(ways).toEqual(sites.map(({ site: { access } }) => [access, expected[access] ?? all]));
  });
});
