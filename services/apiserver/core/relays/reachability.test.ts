import { RelayHeartbeat } from '@nexodus/contracts/relay';
import { StunHeartbeat } from '@nexodus/contracts/stun';
import { expect, test } from 'vitest';
import { Reachability } from './reachability.ts';

const relay = (relayId: string, changes: Partial<RelayHeartbeat> = {}): RelayHeartbeat =>
  RelayHeartbeat.fromPartial({
    relayId,
    url: `https://${relayId}.example:443`,
    freeSessions: 5n,
    ...changes,
  });

test('relays are known by name, and only what is different for devices is news', () => {
  const known = new Reachability();
  expect(known.hearRelay(relay('b'), 0)).toBe(true);
  expect(known.hearRelay(relay('a'), 0)).toBe(true);
  expect(known.hearRelay(relay('a', { freeSessions: 4n, instanceId: 'x' }), 1)).toBe(false);
  expect(known.hearRelay(relay('a', { freeSessions: 0n }), 2)).toBe(true);
  expect(known.map.relays.map(({ relayId, available }) => [relayId, available])).toEqual([
    ['a', false],
    ['b', true],
  ]);
});

test('a relay that drains takes nothing new', () => {
  const known = new Reachability();
  known.hearRelay(relay('a', { draining: true }), 0);
  expect(known.map.relays).toMatchObject([{ draining: true, available: false }]);
});

test('who misses three heartbeats is gone', () => {
  const known = new Reachability();
  known.hearRelay(relay('a'), 0);
  known.hearStun(
    StunHeartbeat.fromPartial({ instanceId: 'i', addresses: ['192.0.2.1:3478'] }),
    5_000,
  );
  expect(known.forgetSilent(32_999)).toBe(false);
  expect(known.forgetSilent(33_000)).toBe(true);
  expect(known.map).toMatchObject({ relays: [], stunServers: [{ addresses: ['192.0.2.1:3478'] }] });
  expect(known.forgetSilent(38_000)).toBe(true);
  expect(known.map.stunServers).toEqual([]);
});

test('a relay without a listener or with an odd name is told to nobody', () => {
  const known = new Reachability();
  expect(known.hearRelay(relay('a', { url: '' }), 0)).toBe(false);
  expect(known.hearRelay(relay('A b'), 0)).toBe(false);
});
