import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  InvalidAddressError,
  addressBits,
  addressIndex,
  addressKind,
  formatIpAddress,
  formatIpPrefix,
  formatIpRange,
  ipAddressFromBytes,
  ipAddressFromValue,
  ipAddressToBytes,
  lastAddress,
  nthAddress,
  parseIpAddress,
  parseIpPrefix,
  parseIpRange,
  prefixContains,
  prefixOf,
  prefixSize,
  prefixesOverlap,
  rangeOfPrefix,
  rangesOverlap,
} from './index.ts';

const address = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ipAddressFromValue(4, value)),
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => ipAddressFromValue(6, value)),
);
const prefix = address.chain((one) =>
  fc.nat({ max: addressBits(one.family) }).map((length) => prefixOf(one, length)),
);
const addressLike = fc.oneof(
  fc.ipV4(),
  fc.ipV4Extended(),
  fc.ipV6(),
  fc.string({ unit: 'binary', maxLength: 70 }),
  fc.stringMatching(/^[0-9a-f:.%/-]{0,45}$/),
);

/** The error that the call ended in, unless it is the declared one. */
function undeclaredError(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    if (!(error instanceof InvalidAddressError)) return error;
  }
  return undefined;
}

function accepts(text: string): boolean {
  try {
    parseIpAddress(text);
    return true;
  } catch {
    return false;
  }
}

test('an address survives its text and its bytes', () => {
  fc.assert(
    fc.property(address, (one) => {
      expect(parseIpAddress(formatIpAddress(one))).toEqual(one);
      expect(ipAddressFromBytes(ipAddressToBytes(one))).toEqual(one);
    }),
  );
});

test('prefixes and their ranges survive their texts', () => {
  fc.assert(
    fc.property(prefix, (one) => {
      expect(parseIpPrefix(formatIpPrefix(one))).toEqual(one);
      expect(parseIpRange(formatIpRange(rangeOfPrefix(one)))).toEqual(rangeOfPrefix(one));
    }),
  );
});

test('texts are addresses exactly where the runtime says so, zones aside', () => {
  fc.assert(
    fc.property(addressLike, (text) => {
      const expected = (isIPv4(text) || isIPv6(text)) && !text.includes('%');
      expect(accepts(text)).toBe(expected);
    }),
    { numRuns: 3000 },
  );
});

test('the mixed form means the same as its hexadecimal groups', () => {
  const group = fc.nat({ max: 0xffff }).map((value) => value.toString(16));
  const head = fc.oneof(
    fc.constantFrom('::', '::ffff:', '::ffff:0:', '64:ff9b::'),
    fc.array(group, { minLength: 6, maxLength: 6 }).map((groups) => `${groups.join(':')}:`),
  );
  fc.assert(
    fc.property(head, fc.ipV4(), (start, ipv4) => {
      const { value } = parseIpAddress(ipv4);
      const groups = `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
      expect(parseIpAddress(start + ipv4)).toEqual(parseIpAddress(start + groups));
    }),
  );
});

test('outside texts and bytes are refused with the declared error', () => {
  fc.assert(
    fc.property(addressLike, fc.uint8Array({ maxLength: 20 }), (text, bytes) => {
      expect(undeclaredError(() => parseIpAddress(text))).toBeUndefined();
      expect(undeclaredError(() => parseIpPrefix(text))).toBeUndefined();
      expect(undeclaredError(() => parseIpPrefix(`${text}/24`))).toBeUndefined();
      expect(undeclaredError(() => parseIpRange(text))).toBeUndefined();
      expect(undeclaredError(() => ipAddressFromBytes(bytes))).toBeUndefined();
    }),
    { numRuns: 1000 },
  );
});

test('a prefix contains exactly the addresses it numbers', () => {
  fc.assert(
    fc.property(prefix, fc.bigInt({ min: 0n, max: 2n ** 128n }), address, (one, seed, other) => {
      const index = seed % prefixSize(one);
      expect(addressIndex(one, nthAddress(one, index))).toBe(index);
      const between =
        other.family === one.address.family &&
        other.value >= one.address.value &&
        other.value <= lastAddress(one).value;
      expect(prefixContains(one, other)).toBe(between);
    }),
  );
});

test('prefixes overlap exactly where their ranges do', () => {
  fc.assert(
    fc.property(prefix, prefix, (left, right) => {
      expect(prefixesOverlap(left, right)).toBe(
        rangesOverlap(rangeOfPrefix(left), rangeOfPrefix(right)),
      );
    }),
  );
});

test('every address has a kind, the same one when it is mapped into IPv6', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }), (value) => {
      const mapped = ipAddressFromValue(6, (0xffffn << 32n) | value);
      expect(addressKind(mapped)).toBe(addressKind(ipAddressFromValue(4, value)));
    }),
  );
});
