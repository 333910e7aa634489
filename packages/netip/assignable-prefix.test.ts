import { describe, expect, test } from 'vitest';
import { parseAssignablePrefix } from './assignable-prefix.ts';

describe('a prefix whose addresses can be given', () => {
  test.each([
    [4, '100.64.0.0/10'],
    [4, '10.0.0.0/29'],
    [4, '192.0.2.0/24'],
    [6, 'fd00:1:2:3::/64'],
    [6, '2001:db8::/120'],
  ] as const)('of IPv%i may be %s', (family, text) => {
    expect(parseAssignablePrefix(family, text)).toHaveProperty('prefix');
  });

  test.each([
    [4, '10.0.0.1/24', 'bits set behind'],
    [4, '10.0.0.0/30', '/29 or shorter'],
    [4, '0.0.0.0/0', 'not unicast'],
    [4, '127.0.0.0/16', 'not unicast'],
    [4, '224.0.0.0/8', 'not unicast'],
    [4, '169.254.0.0/16', 'not unicast'],
    [4, '64.0.0.0/2', 'not unicast'],
    [4, '126.0.0.0/7', 'not unicast'],
    [4, '168.0.0.0/7', 'not unicast'],
    [4, '240.0.0.0/8', 'not unicast'],
    [4, '0.1.0.0/16', 'not unicast'],
    [4, 'fd00::/64', 'must be an IPv4 prefix'],
    [4, '', 'not a prefix'],
    [6, 'fd00::/121', '/120 or shorter'],
    [6, 'FD00::/64', 'not canonical'],
    [6, 'fd00:0:0::/64', 'not canonical'],
    [6, 'ff02::/16', 'not unicast'],
    [6, 'fe80::/64', 'not unicast'],
    [6, '::ffff:10.0.0.0/104', 'not unicast'],
    [6, '::/0', 'not unicast'],
    [6, '100::/64', 'not unicast'],
    [6, '4000::/16', 'not unicast'],
    [6, '10.0.0.0/24', 'must be an IPv6 prefix'],
  ] as const)('of IPv%i may not be %s', (family, text, problem) => {
    expect(parseAssignablePrefix(family, text)).toEqual({
      problem: expect.stringContaining(problem),
    });
  });
});
