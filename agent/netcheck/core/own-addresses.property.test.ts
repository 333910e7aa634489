import { addressKind, parseIpAddress, parseIpPrefix, prefixContains } from '@nexodus/netip';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { IpInterface } from '../../dataplane/core/ip-output.ts';
import { selectOwnAddresses } from './own-addresses.ts';

const vpcPrefixes = [parseIpPrefix('100.64.0.0/10'), parseIpPrefix('fd00::/64')];

const address = fc
  .oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('100.64.0.9', 'fd00::7'))
  .map((text) => ({
    address: text,
    isIpv6: text.includes(':'),
    prefixLength: text.includes(':') ? 64 : 24,
    isLinkLocal: false,
  }));
const held = fc
  .tuple(address, fc.boolean(), fc.boolean(), fc.nat())
  .map(([at, isUsable, isTemporary, preferredSeconds]) => ({
    ...at,
    isUsable,
    isTemporary: isTemporary && at.isIpv6,
    preferredSeconds,
  }));
const link: fc.Arbitrary<IpInterface> = fc.record({
  index: fc.nat(),
  name: fc.constantFrom('eth0', 'eth1', 'nx0', 'lo'),
  mtuBytes: fc.nat(),
  isUp: fc.boolean(),
  hasCarrier: fc.boolean(),
  isLoopback: fc.boolean(),
  isTunnel: fc.boolean(),
  kind: fc.constant(''),
  alias: fc.constant(''),
  addresses: fc.array(held, { maxLength: 6 }),
});

test('every address is sorted once, and no usable one is a candidate that must never be', () => {
  const law = fc.property(fc.array(link, { maxLength: 5 }), (interfaces) => {
    const { usable, unusable } = selectOwnAddresses({
      interfaces,
      tunnelInterface: 'nx0',
      vpcPrefixes,
    });
    const all = [...usable, ...unusable].map((entry) => entry.address);
    expect(new Set(all).size).toBe(all.length);
    for (const { address: text, interfaceName } of usable) {
      const parsed = parseIpAddress(text);
      expect(interfaceName).not.toBe('nx0');
      expect(vpcPrefixes.some((prefix) => prefixContains(prefix, parsed))).toBe(false);
      expect(['loopback', 'link-local', 'multicast', 'unspecified']).not.toContain(
        addressKind(parsed),
      );
    }
  });
  fc.assert(law);
});
