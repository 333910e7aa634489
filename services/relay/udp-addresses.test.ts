import { expect, test } from 'vitest';
import { relayConfig } from './relay-config.ts';
import { publicPlace, udpAddresses } from './udp-addresses.ts';

const addressesOf = (settings: object) => udpAddresses(relayConfig.parse(settings));

test('the UDP lane listens where the settings say, else beside the public listener', () => {
  expect(addressesOf({}).listen).toEqual(['127.0.0.1']);
  expect(addressesOf({ listen: '192.0.2.1:443' }).listen).toEqual(['192.0.2.1']);
  const both = ['192.0.2.1', '2001:db8::1'];
  expect(addressesOf({ udp: { addresses: both } }).listen).toEqual(both);
});

test('devices are told the public addresses of the same family, with the port that the lane has', () => {
  const addresses = addressesOf({
    udp: { addresses: ['10.0.0.1', '2001:db8::1'], public_addresses: ['203.0.113.1'] },
  });
  const place = [
    ['10.0.0.1:20000', '[2001:db8::1]:20000'],
    ['10.0.0.1:20001', '[2001:db8::1]:20001'],
  ] as const;
  expect(publicPlace(place, addresses)).toEqual([
    ['203.0.113.1:20000', '[2001:db8::1]:20000'],
    ['203.0.113.1:20001', '[2001:db8::1]:20001'],
  ]);
});

test('a wildcard address is told as the address in the public URL', () => {
  const addresses = addressesOf({ listen: '0.0.0.0:443', public_url: 'https://203.0.113.1' });
  expect(publicPlace([['0.0.0.0:1024'], []], addresses)).toEqual([['203.0.113.1:1024'], []]);
});
