import { GrantPayload } from '@nexodus/contracts/relay';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  dropPair,
  EMPTY_BOOK,
  grantFor,
  grantsNeeded,
  holdGrant,
  keepPairs,
  takeGrants,
} from './grant-book.ts';

const KEY_A = Buffer.alloc(32, 1);
const KEY_B = Buffer.alloc(32, 2);
const wish = {
  peers: [{ deviceId: 'b', wireGuardKey: KEY_B.toString('base64') }],
  relayIds: ['r1', 'r2'],
  ownWireGuardKey: KEY_A.toString('base64'),
};

function signed(deviceIds: readonly string[], notAfterSeconds: number, keyOfB = KEY_B) {
  const payload = GrantPayload.fromPartial({
    grantId: deviceIds.join('-'),
    devices: deviceIds.map((deviceId) => ({
      deviceId,
      wireguardPublicKey: deviceId === 'a' ? KEY_A : keyOfB,
    })),
    relayIds: ['r1', 'r2'],
    notAfterSeconds: BigInt(notAfterSeconds),
  });
  return {
    payload: Buffer.from(GrantPayload.encode(payload).finish()),
    keyId: 'k',
    signature: Buffer.alloc(64),
  };
}

function bookAt(nowMs: number, notAfterSeconds = 600) {
  const asked = grantsNeeded(EMPTY_BOOK, wish, nowMs);
  if (asked === undefined) throw new Error('nothing was needed');
  const pairs = [signed(['a', 'b'], notAfterSeconds)];
  const answer = { pass: signed(['a'], notAfterSeconds), pairs };
  return takeGrants(EMPTY_BOOK, asked, answer, { ownDeviceId: 'a', nowMs });
}

test('pass and pairs are asked for once, and again at two thirds of their life', () => {
  expect(grantsNeeded(EMPTY_BOOK, wish, 0)).toEqual({
    peerDeviceIds: ['b'],
    relayIds: ['r1', 'r2'],
  });
  const book = bookAt(0);
  expect(grantsNeeded(book, wish, 399_999)).toBeUndefined();
  expect(grantsNeeded(book, wish, 400_000)).toMatchObject({ peerDeviceIds: ['b'] });
});

test('they are used until their very end, at the relays that they name', () => {
  const held = bookAt(0).pairs.get('b');
  expect(grantFor(held, 'r1', 599_999)).toBe(held?.signed);
  expect(grantFor(held, 'r1', 600_000)).toBeUndefined();
  expect(grantFor(held, 'r9', 0)).toBeUndefined();
});

test('another relay, another key of the peer and another own key ask for new ones', () => {
  const book = bookAt(0);
  expect(grantsNeeded(book, { ...wish, relayIds: ['r1', 'r3'] }, 1)).toBeDefined();
  const peers = [{ deviceId: 'b', wireGuardKey: Buffer.alloc(32, 9).toString('base64') }];
  expect(grantsNeeded(book, { ...wish, peers }, 1)).toMatchObject({ peerDeviceIds: ['b'] });
  const ownWireGuardKey = Buffer.alloc(32, 9).toString('base64');
  expect(grantsNeeded(book, { ...wish, ownWireGuardKey }, 1)).toBeDefined();
  expect(grantsNeeded(book, { ...wish, relayIds: [] }, 1)).toBeUndefined();
});

test('a pair that the service keeps back or a relay refuses is asked for again after a while', () => {
  const asked = { peerDeviceIds: ['b'], relayIds: ['r1', 'r2'] };
  const answer = { pass: signed(['a'], 600), pairs: [] };
  const book = takeGrants(EMPTY_BOOK, asked, answer, { ownDeviceId: 'a', nowMs: 0 });
  expect(grantsNeeded(book, wish, 14_999)).toBeUndefined();
  expect(grantsNeeded(book, wish, 15_000)).toBeDefined();
  const dropped = dropPair(bookAt(0), 'b', 5_000);
  expect(dropped.pairs.size).toBe(0);
  expect(grantsNeeded(dropped, wish, 19_999)).toBeUndefined();
  expect(grantsNeeded(dropped, wish, 20_000)).toBeDefined();
});

test('pairs that nobody asked for are not taken, and those of peers that left are forgotten', () => {
  const asked = { peerDeviceIds: ['b'], relayIds: ['r1', 'r2'] };
  const answer = { pass: undefined, pairs: [signed(['a', 'c'], 600)] };
  const book = takeGrants(EMPTY_BOOK, asked, answer, { ownDeviceId: 'a', nowMs: 0 });
  expect(book.pairs.size).toBe(0);
  expect(keepPairs(bookAt(0), new Set()).pairs.size).toBe(0);
});

test('at most a hundred peers are asked for at once', () => {
  const peers = Array.from({ length: 250 }, (_, index) => ({
    deviceId: `d${index}`,
    wireGuardKey: '',
  }));
  expect(grantsNeeded(EMPTY_BOOK, { ...wish, peers }, 0)?.peerDeviceIds).toHaveLength(100);
});

test('bytes that are no grant are none, and nothing is thrown', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      holdGrant({ payload: Buffer.from(bytes), keyId: '', signature: Buffer.alloc(0) }, 0);
    }),
  );
});
