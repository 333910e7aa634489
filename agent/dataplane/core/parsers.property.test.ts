import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DataplaneError } from '../dataplane-error.ts';
import { canonicalCidr, canonicalEndpoint, readEndpoint } from './cidr.ts';
import { parseFirewallListing } from './firewall-listing.ts';
import { parseIpInterfaces, parseIpRoutes } from './ip-output.ts';
import { formatUapiPeers, parseUapiGet, parseUapiSet } from './uapi.ts';
import { parseWgDump } from './wg-dump.ts';

/** Real answers, out of which the fuzz makes near misses. */
const samples = {
  uapi: [
    'private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a',
    'listen_port=12912',
    'public_key=b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33',
    'preshared_key=188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52',
    'protocol_version=1',
    'endpoint=[abcd:23::33]:51820',
    'last_handshake_time_sec=1700000000',
    'last_handshake_time_nsec=500000000',
    'tx_bytes=38333',
    'rx_bytes=2224',
    'persistent_keepalive_interval=111',
    'allowed_ip=192.168.4.4/32',
    'errno=0',
    '',
  ].join('\n'),
  dump: [
    'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\t(none)\t51820\toff',
    'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\t(none)\t192.95.5.67:1234\t10.192.122.3/32,10.192.124.1/24\t1700000000\t5\t6\toff',
  ].join('\n'),
  address:
    '[{"ifindex":3,"ifname":"nx0","flags":["UP"],"mtu":1280,"link_type":"none","linkinfo":{"info_kind":"tun"},"addr_info":[{"family":"inet","local":"100.64.0.1","prefixlen":32,"scope":"global"}]}]',
  route: '[{"dst":"10.9.0.0/16","flags":[]},{"dst":"default","protocol":"boot"}]',
  nft: '{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"set": {"name": "peers4", "handle": 6, "elem": ["100.64.0.7"]}}, {"set": {"name": "prefixes4", "elem": [{"prefix": {"addr": "10.9.0.0", "len": 16}}]}}, {"counter": {"name": "dropped_input", "packets": 3}}]}',
};

/** Arbitrary texts, and samples with a piece replaced. */
function nearly(sample: string): fc.Arbitrary<string> {
  const spliced = fc
    .tuple(fc.nat(sample.length), fc.nat(20), fc.string({ unit: 'binary', maxLength: 12 }))
    .map(([at, length, text]) => sample.slice(0, at) + text + sample.slice(at + length));
  return fc.oneof(fc.string({ unit: 'binary' }), spliced, fc.json());
}

/** What an attempt to parse ended in: nothing, or the reason of the declared error; anything else is thrown on. */
function reasonOf(parse: (text: string) => unknown, text: string): string | null {
  try {
    parse(text);
    return null;
  } catch (error) {
    if (error instanceof DataplaneError) return error.reason;
    throw error;
  }
}

describe('whatever a program or socket answers, only the declared error is thrown', () => {
  test.each([
    ['get of UAPI', parseUapiGet, samples.uapi],
    ['set of UAPI', parseUapiSet, 'errno=0\n'],
    ['wg show dump', parseWgDump, samples.dump],
    ['ip address', parseIpInterfaces, samples.address],
    ['ip route', (text: string) => parseIpRoutes(text, '-4'), samples.route],
    ['nft list', parseFirewallListing, samples.nft],
  ])('%s', (_, parse, sample) => {
    expect(() => parse(sample)).not.toThrow();
    fc.assert(
      fc.property(nearly(sample), (text) => {
        expect([null, 'unreadable-output']).toContain(reasonOf(parse, text));
      }),
      { numRuns: 1000 },
    );
  });
});

test('a UAPI answer is read with all that it says', () => {
  expect(parseUapiGet(samples.uapi)).toEqual({
    privateKeyHex: 'e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a',
    listenPort: 12_912,
    peers: [
      {
        publicKey: 'uFmW/sycfx/G0lcqdu2hHVm80gvo5UOxXOS9hajnWjM=',
        endpoint: '[abcd:23::33]:51820',
        allowedIps: ['192.168.4.4/32'],
        latestHandshakeAt: new Date(1_700_000_000_500),
        rxBytes: 2224,
        txBytes: 38_333,
        persistentKeepaliveSeconds: 111,
      },
    ],
  });
});

test('a UAPI answer that is cut off or reports an error is refused', () => {
  expect(() => parseUapiGet('listen_port=1\n')).toThrow(/cut off/);
  expect(() => parseUapiGet('errno=-5\n')).toThrow(/errno 5/);
});

test('peer changes are written removals first', () => {
  const publicKey = 'uFmW/sycfx/G0lcqdu2hHVm80gvo5UOxXOS9hajnWjM=';
  const hex = 'b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33';
  const allowedIps = ['100.64.0.7/32'];
  const set = [{ publicKey, allowedIps, persistentKeepaliveSeconds: 25, endpoint: '[::1]:2' }];
  expect(formatUapiPeers({ remove: [publicKey], set }).split('\n')).toEqual([
    'set=1',
    `public_key=${hex}`,
    'remove=true',
    `public_key=${hex}`,
    'endpoint=[::1]:2',
    'persistent_keepalive_interval=25',
    'replace_allowed_ips=true',
    'allowed_ip=100.64.0.7/32',
    '',
    '',
  ]);
});

test('wg show dump is read with all that it says', () => {
  expect(parseWgDump(samples.dump)).toMatchObject({
    listenPort: 51_820,
    peers: [
      {
        endpoint: '192.95.5.67:1234',
        allowedIps: ['10.192.122.3/32', '10.192.124.0/24'],
        latestHandshakeAt: new Date(1_700_000_000_000),
        rxBytes: 5,
        txBytes: 6,
        persistentKeepaliveSeconds: 0,
      },
    ],
  });
});

test('prefixes and endpoints have one text each', () => {
  const addresses = fc.oneof(fc.ipV4(), fc.ipV6());
  fc.assert(
    fc.property(addresses, fc.nat(128), (address, bits) => {
      fc.pre(bits <= 32 || address.includes(':'));
      const cidr = canonicalCidr(`${address}/${bits}`);
      expect(cidr).not.toBeNull();
      expect(canonicalCidr(cidr ?? '')).toBe(cidr);
    }),
  );
  expect(canonicalEndpoint('[FE80::0:1]:51820')).toBe('[fe80::1]:51820');
  expect(canonicalEndpoint('1.2.3.4:0')).toBeNull();
  expect(canonicalEndpoint('[fe80::1%eth0]:51820')).toBeNull();
  expect(readEndpoint('[fe80::1%eth0]:51820')).toBe('[fe80::1%eth0]:51820');
  expect(canonicalCidr('1.2.3')).toBeNull();
  expect(canonicalCidr('0x7f.1.1.1')).toBeNull();
  expect(canonicalCidr('10.1.2.3/8')).toBe('10.0.0.0/8');
});
