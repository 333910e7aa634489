import { parseIpPrefix } from '@nexodus/netip';
import { describe, expect, test } from 'vitest';
import { parseIpInterfaces } from '../../dataplane/core/ip-output.ts';
import { selectOwnAddresses } from './own-addresses.ts';

/** As `ip -json -details address show` prints an interface. */
function link(name: string, addresses: object[], more: object = {}): object {
  const flags = ['BROADCAST', 'UP', 'LOWER_UP'];
  return { ifindex: 7, ifname: name, mtu: 1500, flags, addr_info: addresses, ...more };
}

const four = (local: string, more: object = {}) => ({
  family: 'inet',
  local,
  prefixlen: 24,
  ...more,
});
const six = (local: string, more: object = {}) => ({
  family: 'inet6',
  local,
  prefixlen: 64,
  scope: 'global',
  ...more,
});

function select(...links: object[]) {
  const { usable, unusable } = selectOwnAddresses({
    interfaces: parseIpInterfaces(JSON.stringify(links)),
    tunnelInterface: 'nx0',
    vpcPrefixes: [parseIpPrefix('100.64.0.0/10'), parseIpPrefix('fd00:1::/64')],
  });
  return {
    usable: usable.map(({ address }) => address),
    unusable: unusable.map(({ address, reason }) => `${address} ${reason}`),
  };
}

describe('a machine may be reached', () => {
  test('at the addresses of every interface, of both families', () => {
    const { usable, unusable } = select(
      link('eth0', [four('192.168.1.2'), six('2001:db8::2')]),
      link('wlan0', [four('10.0.0.2'), six('fd00:2::2')]),
    );
    expect(usable).toEqual(['192.168.1.2', '2001:db8::2', '10.0.0.2', 'fd00:2::2']);
    expect(unusable).toEqual([]);
  });

  test('at none that a VPC, a tunnel, loopback or one link alone knows', () => {
    const { usable, unusable } = select(
      link('lo', [four('127.0.0.1'), four('192.0.2.1')], { flags: ['UP', 'LOOPBACK'] }),
      link('eth0', [four('100.64.3.4'), six('fd00:1::9'), four('169.254.7.7')]),
      link('eth1', [six('fe80::1', { scope: 'link' }), four('224.0.0.5')]),
      link('nx0', [four('192.168.7.1')]),
      link('wg7', [four('10.9.9.9')], { linkinfo: { info_kind: 'wireguard' } }),
      link('tun3', [four('10.8.8.8')], { link_type: 'none' }),
    );
    expect(usable).toEqual([]);
    expect(unusable).toEqual([
      '127.0.0.1 loopback',
      '192.0.2.1 loopback',
      '100.64.3.4 in-vpc',
      'fd00:1::9 in-vpc',
      '169.254.7.7 link-local',
      'fe80::1 link-local',
      '224.0.0.5 no-host',
      '192.168.7.1 tunnel',
      '10.9.9.9 tunnel',
      '10.8.8.8 tunnel',
    ]);
  });

  test('only through interfaces that are up and have somebody at the other end', () => {
    const { unusable } = select(
      link('eth0', [four('10.0.0.1')], { flags: ['BROADCAST'] }),
      link('eth1', [four('10.0.1.1')], { flags: ['UP', 'NO-CARRIER'] }),
    );
    expect(unusable).toEqual(['10.0.0.1 interface-down', '10.0.1.1 interface-down']);
  });

  test('at a temporary IPv6 address after those that stay, and only at the one in use', () => {
    const { usable, unusable } = select(
      link('eth0', [
        six('2001:db8::a', { temporary: true, preferred_life_time: 100 }),
        six('2001:db8::b', { temporary: true, preferred_life_time: 86_000 }),
        six('2001:db8::c', { temporary: true, preferred_life_time: 0, deprecated: true }),
        six('2001:db8:0:1::d', { temporary: true, preferred_life_time: 5 }),
        six('2001:db8::1', { preferred_life_time: 4_294_967_295 }),
        six('2001:db8::2', { tentative: true }),
      ]),
    );
    expect(usable).toEqual(['2001:db8::1', '2001:db8::b', '2001:db8:0:1::d']);
    expect(unusable).toEqual([
      '2001:db8::2 not-preferred',
      '2001:db8::a older-temporary',
      '2001:db8::c not-preferred',
    ]);
  });

  test('at an address that two interfaces have, once', () => {
    const { usable } = select(link('eth0', [four('10.0.0.1')]), link('eth1', [four('10.0.0.1')]));
    expect(usable).toEqual(['10.0.0.1']);
  });
});
