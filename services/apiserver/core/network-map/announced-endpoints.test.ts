import { EndpointKind } from '@nexodus/contracts/type';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_ENDPOINTS, readAnnouncedEndpoints } from './announced-endpoints.ts';

function read(...addresses: string[]): string[] {
  const endpoints = addresses.map((address) => ({ address, kind: EndpointKind.LOCAL }));
  return readAnnouncedEndpoints(endpoints).map(({ address }) => address);
}

test.for([
  ['192.0.2.1:51820', '192.0.2.1:51820'],
  ['[2001:DB8::0001]:1', '[2001:db8::1]:1'],
  ['10.1.2.3:65535', '10.1.2.3:65535'],
  ['100.64.0.9:7', '100.64.0.9:7'],
])('%s may be told to peers', ([given, told]) => {
  expect(read(given!)).toEqual([told]);
});

test.for([
  '127.0.0.1:1',
  '[::1]:1',
  '[::ffff:127.0.0.1]:1',
  '0.0.0.0:1',
  '[::]:1',
  '224.0.0.1:1',
  '[ff02::1]:1',
  '255.255.255.255:1',
  '240.0.0.1:1',
  '192.0.2.1:0',
  '192.0.2.1:65536',
  '192.0.2.1',
  '[192.0.2.1]:1',
  '2001:db8::1:1',
  '[fe80::1%eth0]:1',
  'example.com:1',
  '01.2.3.4:1',
  '',
])('%s may not', (given) => {
  expect(read(given)).toEqual([]);
});

test('each endpoint is told once, in order, and no more than the limit', () => {
  expect(read('192.0.2.2:1', '192.0.2.1:1', '192.0.2.2:1')).toEqual(['192.0.2.2:1', '192.0.2.1:1']);
  const many = Array.from({ length: MAX_ENDPOINTS + 5 }, (_, index) => `192.0.2.1:${index + 1}`);
  expect(read(...many)).toHaveLength(MAX_ENDPOINTS);
});

test('no text makes it throw', () => {
  fc.assert(fc.property(fc.array(fc.string()), (texts) => void read(...texts)));
  const nearly = fc.stringMatching(/^\[?[0-9a-f:.]{0,40}\]?:[0-9]{0,6}$/);
  fc.assert(fc.property(nearly, (text) => void read(text)));
});
