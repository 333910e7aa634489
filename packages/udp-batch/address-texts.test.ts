import { parseIpAddress } from '@nexodus/netip';
import { decodeSocketAddress, SOCKET_ADDRESS_BYTES } from '@nexodus/socket-address';
import { expect, test } from 'vitest';
import { AddressTexts } from './address-texts.ts';

const texts = new AddressTexts();
const raw = new Uint8Array(SOCKET_ADDRESS_BYTES);

test.each(['192.0.2.1', '255.255.255.255', '2001:db8::1', '::1'])(
  '%s is written and read, the first time and again, whatever the port',
  (text) => {
    for (const port of [1, 65_535]) {
      texts.write(raw, text, port);
      expect(decodeSocketAddress(raw, 0)).toEqual({ address: parseIpAddress(text), port });
      expect(texts.read(raw, 0)).toBe(text);
    }
  },
);

test('a zone is passed over', () => {
  texts.write(raw, 'fe80::1%eth0', 9);
  expect(texts.read(raw, 0)).toBe('fe80::1');
});

test('an address of another family has no text', () => {
  expect(texts.read(Uint8Array.of(1, 0), 0)).toBeUndefined();
});

test('more addresses than are remembered are told apart nevertheless', () => {
  for (let index = 0; index < 5_000; index += 1) {
    const text = `10.0.${index >> 8}.${index & 0xff}`;
    texts.write(raw, text, 9);
    expect(texts.read(raw, 0)).toBe(text);
  }
});
