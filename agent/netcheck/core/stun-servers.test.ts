import type { Relay } from '@nexodus/contracts/agent';
import { expect, test } from 'vitest';
import { placeText, readStunServers } from './stun-servers.ts';

const relay = (...stunAddresses: string[]): Relay => ({
  relayId: 'r',
  region: '',
  url: 'https://r:443',
  stunAddresses,
  available: true,
  draining: false,
});

test('servers come by family, each once, STUN servers before relays', () => {
  const { ipv4, ipv6 } = readStunServers({
    relays: [relay('192.0.2.1:3480', '[2001:db8::1]:3480')],
    stunServers: [{ region: '', addresses: ['192.0.2.9:3478', '192.0.2.1:3480'] }],
  });
  expect(ipv4.map(placeText)).toEqual(['192.0.2.9:3478', '192.0.2.1:3480']);
  expect(ipv6.map(placeText)).toEqual(['[2001:db8::1]:3480']);
});

test('what is no address and port is left out, and there is an end', () => {
  const bad = [
    '',
    'stun.example:3478',
    '192.0.2.1',
    '192.0.2.1:0',
    '[192.0.2.1]:',
    '1.2.3.4:99999',
  ];
  const many = Array.from({ length: 40 }, (_unused, index) => `192.0.2.${index}:3478`);
  expect(readStunServers({ relays: [relay(...bad)], stunServers: [] }).ipv4).toEqual([]);
  expect(readStunServers({ relays: [relay(...many)], stunServers: [] }).ipv4).toHaveLength(16);
});
