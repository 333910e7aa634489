import { describe, expect, test } from 'vitest';
import {
  InvalidAddressError,
  addressIndex,
  addressKind,
  compareIpAddresses,
  compareIpPrefixes,
  formatIpAddress,
  formatIpPrefix,
  formatIpRange,
  hostPrefix,
  ipAddressFromValue,
  lastAddress,
  nthAddress,
  nthSubnet,
  parseIpAddress,
  parseIpPrefix,
  parseIpRange,
  prefixContains,
  prefixContainsPrefix,
  prefixOf,
  prefixSize,
  prefixesOverlap,
  rangeContains,
  rangesOverlap,
  subnetsOf,
  uniqueLocalPrefix,
  unmapIpv4,
} from './index.ts';

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (!(error instanceof InvalidAddressError)) throw error;
    return error.reason;
  }
  return 'accepted';
}

describe('an address', () => {
  test.each([
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['2001:DB8::1', '2001:db8::1'],
    ['2001:0db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['1:2:3:4:5:6:0:0', '1:2:3:4:5:6::'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('%s is written %s (RFC 5952)', (text, canonical) => {
    expect(formatIpAddress(parseIpAddress(text))).toBe(canonical);
  });

  test.each([
    ['', 'not-an-address'],
    ['1.2.3', 'not-an-address'],
    ['1.2.3.4.5', 'not-an-address'],
    ['1.2.3.256', 'not-an-address'],
    ['010.0.0.1', 'not-an-address'],
    ['0x7f.0.0.1', 'not-an-address'],
    ['2130706433', 'not-an-address'],
    [' 1.2.3.4', 'not-an-address'],
    ['1.2.3.4\n', 'not-an-address'],
    ['1.2.3.4/32', 'not-an-address'],
    ['١.2.3.4', 'not-an-address'],
    [':', 'not-an-address'],
    [':::', 'not-an-address'],
    ['1::2::3', 'not-an-address'],
    ['1:2:3:4:5:6:7', 'not-an-address'],
    ['1:2:3:4:5:6:7:8:9', 'not-an-address'],
    ['1:2:3:4:5:6:7::8', 'not-an-address'],
    ['00001::', 'not-an-address'],
    ['::g', 'not-an-address'],
    ['::ffff:010.0.0.1', 'not-an-address'],
    ['::1.2.3', 'not-an-address'],
    ['1.2.3.4::', 'not-an-address'],
    ['fe80::1%eth0', 'zone'],
    ['1'.repeat(10_000), 'not-an-address'],
  ])('is not %j', (text, reason) => {
    expect(refusal(() => parseIpAddress(text))).toBe(reason);
  });

  test('is not a number outside its family', () => {
    expect(refusal(() => ipAddressFromValue(4, 2n ** 32n))).toBe('out-of-range');
    expect(refusal(() => ipAddressFromValue(6, 2n ** 128n))).toBe('out-of-range');
    expect(refusal(() => ipAddressFromValue(6, -1n))).toBe('out-of-range');
  });

  test('sorts by family, then by value', () => {
    const sorted = ['::1', '10.0.0.2', '9.0.0.1', '::', '10.0.0.2']
      .map(parseIpAddress)
      .toSorted(compareIpAddresses);
    expect(sorted.map(formatIpAddress)).toEqual(['9.0.0.1', '10.0.0.2', '10.0.0.2', '::', '::1']);
  });

  test('is unmapped only from ::ffff:0:0/96', () => {
    expect(formatIpAddress(unmapIpv4(parseIpAddress('::ffff:10.0.0.1')))).toBe('10.0.0.1');
    expect(formatIpAddress(unmapIpv4(parseIpAddress('::10.0.0.1')))).toBe('::a00:1');
    expect(formatIpAddress(unmapIpv4(parseIpAddress('10.0.0.1')))).toBe('10.0.0.1');
  });

  test.each([
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'this-network'],
    ['127.255.0.1', 'loopback'],
    ['169.254.1.1', 'link-local'],
    ['224.0.0.1', 'multicast'],
    ['239.255.255.255', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['240.0.0.1', 'reserved'],
    ['10.1.2.3', 'private'],
    ['172.31.255.255', 'private'],
    ['172.32.0.0', 'global'],
    ['192.168.0.1', 'private'],
    ['100.63.255.255', 'global'],
    ['100.64.0.0', 'carrier-nat'],
    ['100.127.255.255', 'carrier-nat'],
    ['100.128.0.0', 'global'],
    ['8.8.8.8', 'global'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['fe80::1', 'link-local'],
    ['febf::1', 'link-local'],
    ['ff02::1', 'multicast'],
    ['fd12::1', 'unique-local'],
    ['2001:db8::1', 'global'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:100.64.0.1', 'carrier-nat'],
  ])('%s is %s', (text, kind) => {
    expect(addressKind(parseIpAddress(text))).toBe(kind);
  });
});

describe('a prefix', () => {
  const carrier = parseIpPrefix('100.64.0.0/10');

  test.each([
    ['10.0.0.0', 'not-a-prefix'],
    ['10.0.0.0/', 'not-a-prefix'],
    ['10.0.0.0/08', 'not-a-prefix'],
    ['10.0.0.0/-1', 'not-a-prefix'],
    ['10.0.0.0/8/8', 'not-a-prefix'],
    ['10.0.0.0/255.0.0.0', 'not-a-prefix'],
    ['10.0.0.0/33', 'out-of-range'],
    ['::/129', 'out-of-range'],
    ['10/8', 'not-an-address'],
    ['fe80::%1/64', 'zone'],
    ['10.0.0.1/8', 'host-bits'],
    ['2001:db8::1/64', 'host-bits'],
  ])('is not %j', (text, reason) => {
    expect(refusal(() => parseIpPrefix(text))).toBe(reason);
  });

  test('with host bits is refused with the prefix that was meant', () => {
    expect(() => parseIpPrefix('10.1.2.3/8')).toThrow('the prefix is 10.0.0.0/8');
  });

  test('knows its addresses by number', () => {
    expect(prefixSize(carrier)).toBe(4_194_304n);
    expect(formatIpAddress(nthAddress(carrier, 257n))).toBe('100.64.1.1');
    expect(formatIpAddress(lastAddress(carrier))).toBe('100.127.255.255');
    expect(addressIndex(carrier, parseIpAddress('100.64.1.1'))).toBe(257n);
    expect(addressIndex(carrier, parseIpAddress('100.128.0.0'))).toBeUndefined();
    expect(refusal(() => nthAddress(carrier, prefixSize(carrier)))).toBe('out-of-range');
    expect(refusal(() => nthAddress(carrier, -1n))).toBe('out-of-range');
  });

  test('of length 0 is the whole family and of full length one address', () => {
    expect(prefixContains(parseIpPrefix('0.0.0.0/0'), parseIpAddress('255.255.255.255'))).toBe(
      true,
    );
    expect(prefixContains(parseIpPrefix('0.0.0.0/0'), parseIpAddress('::'))).toBe(false);
    expect(formatIpPrefix(hostPrefix(parseIpAddress('fd00::1')))).toBe('fd00::1/128');
    expect(prefixSize(parseIpPrefix('::/0'))).toBe(2n ** 128n);
  });

  test.each([
    ['10.0.0.0/8', '10.1.0.0/16', true],
    ['10.0.0.0/8', '10.0.0.0/8', true],
    ['10.0.0.0/9', '10.128.0.0/9', false],
    ['0.0.0.0/0', '::/0', false],
  ])('%s and %s overlap: %s', (left, right, overlap) => {
    const [a, b] = [parseIpPrefix(left), parseIpPrefix(right)];
    expect(prefixesOverlap(a, b)).toBe(overlap);
    expect(prefixesOverlap(b, a)).toBe(overlap);
    expect(prefixContainsPrefix(a, b)).toBe(overlap);
  });

  test('is cut into subnets in order', () => {
    const subnets = [...subnetsOf(parseIpPrefix('10.0.0.0/30'), 32)].map(formatIpPrefix);
    expect(subnets).toEqual(['10.0.0.0/32', '10.0.0.1/32', '10.0.0.2/32', '10.0.0.3/32']);
    expect([...subnetsOf(carrier, 10)].map(formatIpPrefix)).toEqual(['100.64.0.0/10']);
    expect(refusal(() => [...subnetsOf(carrier, 9)])).toBe('out-of-range');
    expect(refusal(() => nthSubnet(carrier, 12, 4n))).toBe('out-of-range');
    expect(refusal(() => nthSubnet(carrier, 33, 0n))).toBe('out-of-range');
    expect(refusal(() => prefixOf(carrier.address, 1.5))).toBe('out-of-range');
  });

  test('sorts by address, wider ones first', () => {
    const sorted = ['::/0', '10.0.0.0/16', '10.0.0.0/8'].map(parseIpPrefix);
    expect(sorted.toSorted(compareIpPrefixes).map(formatIpPrefix)).toEqual([
      '10.0.0.0/8',
      '10.0.0.0/16',
      '::/0',
    ]);
  });

  test('unique to a site comes from 40 random bits (RFC 4193)', () => {
    const site = uniqueLocalPrefix(Uint8Array.of(0x12, 0x34, 0x56, 0x78, 0x9a));
    expect(formatIpPrefix(site)).toBe('fd12:3456:789a::/48');
    expect(formatIpPrefix(nthSubnet(site, 64, 0n))).toBe('fd12:3456:789a::/64');
    expect(formatIpPrefix(nthSubnet(site, 64, 65_535n))).toBe('fd12:3456:789a:ffff::/64');
    expect(refusal(() => nthSubnet(site, 64, 65_536n))).toBe('out-of-range');
    expect(refusal(() => uniqueLocalPrefix(new Uint8Array(4)))).toBe('out-of-range');
  });
});

describe('a range', () => {
  test.each([
    ['10.0.0.1-10.0.0.9', '10.0.0.1-10.0.0.9'],
    ['10.0.0.1 - 10.0.0.9', '10.0.0.1-10.0.0.9'],
    ['10.0.0.0/31', '10.0.0.0-10.0.0.1'],
    ['10.0.0.1', '10.0.0.1'],
    ['fd00::-fd00::f', 'fd00::-fd00::f'],
  ])('%s is written %s', (text, canonical) => {
    expect(formatIpRange(parseIpRange(text))).toBe(canonical);
  });

  test.each([
    ['10.0.0.9-10.0.0.1', 'not-a-range'],
    ['10.0.0.1-::1', 'not-a-range'],
    ['10.0.0.1-10.0.0.2-10.0.0.3', 'not-a-range'],
    ['10.0.0.1-', 'not-an-address'],
    ['', 'not-an-address'],
    ['10.0.0.1/8', 'host-bits'],
  ])('is not %j', (text, reason) => {
    expect(refusal(() => parseIpRange(text))).toBe(reason);
  });

  test('contains both its ends and nothing of the other family', () => {
    const range = parseIpRange('0.0.0.5-0.0.0.9');
    const contains = (text: string): boolean => rangeContains(range, parseIpAddress(text));
    expect(['0.0.0.4', '0.0.0.5', '0.0.0.9', '0.0.0.10', '::5'].map(contains)).toEqual([
      false,
      true,
      true,
      false,
      false,
    ]);
  });

  test.each([
    ['0.0.0.1-0.0.0.5', '0.0.0.5-0.0.0.9', true],
    ['0.0.0.1-0.0.0.9', '0.0.0.3-0.0.0.4', true],
    ['0.0.0.1-0.0.0.4', '0.0.0.5-0.0.0.9', false],
    ['0.0.0.1-0.0.0.4', '::1-::4', false],
  ])('%s and %s overlap: %s', (left, right, overlap) => {
    expect(rangesOverlap(parseIpRange(left), parseIpRange(right))).toBe(overlap);
    expect(rangesOverlap(parseIpRange(right), parseIpRange(left))).toBe(overlap);
  });
});
