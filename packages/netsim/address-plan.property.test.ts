import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressAt, parsePrefix } from './address-plan.ts';

function outcome(text: string): string {
  try {
    parsePrefix(text);
    return 'prefix';
  } catch (error) {
    return error instanceof Error ? error.constructor.name : 'not an error';
  }
}

describe('addressAt', () => {
  test('gives the address so many places above the prefix', () => {
    expect(addressAt(parsePrefix('10.77.0.0/24'), 10n)).toBe('10.77.0.10');
    expect(addressAt(parsePrefix('10.77.0.0/16'), 256n)).toBe('10.77.1.0');
    expect(addressAt(parsePrefix('fd77::/64'), 10n)).toBe('fd77::a');
  });

  test('gives every IPv4 offset its own address, up to the last before broadcast', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 254 }), (offset) => {
        expect(addressAt(parsePrefix('192.0.2.0/24'), BigInt(offset))).toBe(`192.0.2.${offset}`);
      }),
    );
    expect(() => addressAt(parsePrefix('192.0.2.0/24'), 255n)).toThrow(RangeError);
  });
});

describe('parsePrefix', () => {
  test.each(['10.77.0.1/24', '10.77.0.0', '10.77.0.0/33', 'fd77::1/64', 'lan', ''])(
    'refuses %j',
    (text) => {
      expect(() => parsePrefix(text)).toThrow(RangeError);
    },
  );

  test('throws nothing but RangeError on any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(outcome(text)).toMatch(/^(prefix|RangeError)$/);
      }),
    );
  });
});
