import { EndpointKind } from '@nexodus/contracts/type';
import { expect, test } from 'vitest';
import { NOWHERE, readWhereabouts, textOfWhereabouts } from './whereabouts.ts';

test('peers are told names of relays only, and of at most eight relays how far they are', () => {
  const relayLatencies = Array.from({ length: 9 }, (_, index) => ({
    relayId: `relay-${index}`,
    roundTripUs: index,
  }));
  const bad = { relayId: 'Relay 1\n', roundTripUs: 1 };
  const said = { endpoints: [], homeRelayId: '-eu', relayLatencies: [bad, ...relayLatencies] };
  const read = readWhereabouts(said);
  expect(read.homeRelayId).toBe('');
  expect(read.relayLatencies).toEqual(relayLatencies.slice(0, 7));
});

test('each thing that a device says makes a difference', () => {
  const address = '192.0.2.1:1';
  const states = [
    NOWHERE,
    { ...NOWHERE, homeRelayId: 'eu' },
    { ...NOWHERE, relayLatencies: [{ relayId: 'eu', roundTripUs: 1 }] },
    { ...NOWHERE, relayLatencies: [{ relayId: 'eu', roundTripUs: 2 }] },
    { ...NOWHERE, endpoints: [{ address, kind: EndpointKind.LOCAL }] },
  ];
  expect(new Set(states.map(textOfWhereabouts)).size).toBe(states.length);
});
