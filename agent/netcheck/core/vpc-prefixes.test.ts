import { formatIpPrefix } from '@nexodus/netip';
import { expect, test } from 'vitest';
import { guessVpcPrefixes } from './vpc-prefixes.ts';

test('own tunnel addresses tell what prefixes no candidate is of', () => {
  const prefixes = guessVpcPrefixes(['100.64.3.7/32', 'fd00:1:2:3::9', '10.1.2.3', 'nonsense', '']);
  expect(prefixes.map(formatIpPrefix)).toEqual(['100.64.0.0/10', 'fd00:1:2:3::/64', '10.1.2.3/32']);
});
