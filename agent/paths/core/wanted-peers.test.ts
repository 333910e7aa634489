import type { Mac1Verifier } from '@nexodus/wireguard';
import { expect, test } from 'vitest';
import { WantedPeers } from './wanted-peers.ts';

/** In place of mac1: byte 8 of an initiation names the peer. */
const verify: Mac1Verifier = (state, { bytes, offset }) => state[0] === bytes[offset + 8];

function initiation(peer: number, mark = 0): Uint8Array {
  const datagram = new Uint8Array(148);
  datagram[0] = 1;
  datagram[8] = peer;
  datagram[9] = mark;
  return datagram;
}

function someIdle(): WantedPeers {
  const wanted = new WantedPeers(verify);
  wanted.rest('a', Uint8Array.of(1));
  wanted.rest('b', Uint8Array.of(2));
  return wanted;
}

test('an initiation names the peer that it is for', () => {
  const wanted = someIdle();
  expect(wanted.take(initiation(2), 0)).toBe('b');
  expect(wanted.take(initiation(3), 0)).toBeUndefined();
  wanted.wake('b');
  expect(wanted.take(initiation(2), 0)).toBeUndefined();
});

test('data, answers and what is no message name nobody', () => {
  const wanted = someIdle();
  const data = initiation(1);
  data[0] = 4;
  for (const datagram of [data, initiation(1).subarray(1), new Uint8Array(0)])
    expect(wanted.take(datagram, 0)).toBeUndefined();
});

test('the newest initiation is forwarded, once, and not when it is old', () => {
  const wanted = someIdle();
  wanted.take(initiation(1, 7), 0);
  wanted.take(initiation(1, 8), 100);
  wanted.wake('a');
  expect(wanted.release('a', 400)?.[9]).toBe(8);
  expect(wanted.release('a', 400)).toBeUndefined();
  wanted.take(initiation(2), 500);
  expect(wanted.release('b', 801)).toBeUndefined();
});

test('none is forwarded after the peer has begun by itself', () => {
  const wanted = someIdle();
  wanted.take(initiation(1), 0);
  wanted.drop('a');
  expect(wanted.release('a', 10)).toBeUndefined();
});

test('what is kept is a copy', () => {
  const wanted = someIdle();
  const datagram = initiation(1, 5);
  wanted.take(datagram, 0);
  datagram[9] = 6;
  expect(wanted.release('a', 10)?.[9]).toBe(5);
});
