import { fuzzRuns } from '@nexodus/fuzzing';
import { formatIpAddress, ipAddressFromBytes, parseIpAddress } from '@nexodus/netip';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
  SocketAddressFormatError,
  socketAddressesEqual,
  socketAddressLength,
} from './index.ts';

const address = fc
  .oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  )
  .map(ipAddressFromBytes);
const endpoint = fc.record({ address, port: fc.integer({ min: 0, max: 65_535 }) });

function encoded(value: Parameters<typeof encodeSocketAddress>[2], offset = 0): Uint8Array {
  const bytes = new Uint8Array(offset + SOCKET_ADDRESS_BYTES).fill(0xaa);
  encodeSocketAddress(bytes, offset, value);
  return bytes;
}

describe('raw socket addresses', () => {
  test('are laid out as the kernel has them', () => {
    const four = encoded({ address: parseIpAddress('192.0.2.1'), port: 3_478 });
    expect(Buffer.from(four.subarray(0, 16)).toString('hex')).toBe(
      '02000d96c00002010000000000000000',
    );
    const six = encoded({ address: parseIpAddress('2001:db8::1'), port: 3_478 });
    expect(Buffer.from(six.subarray(0, 28)).toString('hex')).toBe(
      '0a000d960000000020010db800000000000000000000000100000000',
    );
  });

  test('give back what was written, at any offset', () => {
    fc.assert(
      fc.property(endpoint, fc.nat(64), (value, offset) => {
        const decoded = decodeSocketAddress(encoded(value, offset), offset);
        expect(formatIpAddress(decoded.address)).toBe(formatIpAddress(value.address));
        expect(decoded.port).toBe(value.port);
      }),
    );
  });

  test('are equal exactly where address and port are', () => {
    const few = fc.constantFrom('192.0.2.1', '192.0.2.2', '::1', '::2').map(parseIpAddress);
    const some = fc.record({ address: few, port: fc.constantFrom(1, 256, 257) });
    fc.assert(
      fc.property(some, some, (a, b) => {
        const isSame =
          formatIpAddress(a.address) === formatIpAddress(b.address) && a.port === b.port;
        expect(socketAddressesEqual(encoded(a), 0, encoded(b, 3), 3)).toBe(isSame);
      }),
    );
  });

  test('of other families have no length, are equal to nothing and are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const length = socketAddressLength(bytes, 0);
        fc.pre(length === 0 || length > bytes.length);
        expect(() => decodeSocketAddress(bytes, 0)).toThrow(SocketAddressFormatError);
      }),
      { numRuns: fuzzRuns(100) },
    );
    const unix = Uint8Array.of(1, 0, 0, 0);
    expect(socketAddressLength(unix, 0)).toBe(0);
    expect(socketAddressesEqual(unix, 0, unix, 0)).toBe(false);
  });
});
