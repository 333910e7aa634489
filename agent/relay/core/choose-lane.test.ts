import { fuzzRuns } from '@nexodus/fuzzing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseLane, type LaneQuestion } from './choose-lane.ts';
import { encodeLaneNotice, isOfOurs, readLaneNotice } from './lane-notice.ts';

const question: LaneQuestion = {
  demand: 'any',
  udp: { state: 'registered', sinceMs: 0 },
  peerNeedsTlsUntilMs: undefined,
  handshakeAtMs: undefined,
  nowMs: 1_000,
};

test.for([
  ['registered', 'any', 'udp', false],
  ['registered', 'udp', 'udp', false],
  ['registered', 'tls', 'tls', true],
  ['asking', 'any', undefined, false],
  ['silent', 'any', 'tls', true],
  ['silent', 'udp', undefined, false],
  ['none', 'any', 'tls', true],
  ['unproven', 'any', 'udp', false],
] as const)('UDP %s, demand %s: %s', ([state, demand, lane, needsTls]) => {
  const choice = chooseLane({ ...question, demand, udp: { state, sinceMs: 0 } });
  expect(choice).toMatchObject({ lane, needsTls });
});

test('a peer that needs TLS gets it for as long as its word holds, and is not told the same', () => {
  const asked = { ...question, peerNeedsTlsUntilMs: 5_000 };
  expect(chooseLane(asked)).toMatchObject({ lane: 'tls', needsTls: false });
  expect(chooseLane({ ...asked, nowMs: 5_000 })).toMatchObject({ lane: 'udp' });
  expect(chooseLane({ ...asked, demand: 'udp' })).toMatchObject({ lane: 'udp' });
});

test('without registration a handshake must come through in time', () => {
  const udp = { state: 'unproven', sinceMs: 1_000 } as const;
  expect(chooseLane({ ...question, udp, nowMs: 11_999 }).lane).toBe('udp');
  expect(chooseLane({ ...question, udp, nowMs: 12_000 }).lane).toBe('tls');
  expect(chooseLane({ ...question, udp, nowMs: 12_000, handshakeAtMs: 4_000 }).lane).toBe('udp');
  expect(chooseLane({ ...question, udp, nowMs: 12_000, handshakeAtMs: 999 }).lane).toBe('tls');
});

describe('a notice', () => {
  test('is read as it was written, and is told from what WireGuard sends', () => {
    for (const needsTls of [true, false]) {
      const bytes = encodeLaneNotice(needsTls);
      expect(readLaneNotice(bytes)).toEqual({ needsTls });
      expect(isOfOurs(bytes)).toBe(true);
      expect(Buffer.from(bytes).toString('hex')).toBe(`f5574d3112${needsTls ? '01' : '00'}`);
    }
    expect(isOfOurs(Buffer.from('0400000012345678', 'hex'))).toBe(false);
  });

  test('is nothing else, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const read = readLaneNotice(bytes);
        const again = read === undefined ? bytes : encodeLaneNotice(read.needsTls);
        expect([...again]).toEqual([...bytes]);
        expect(read === undefined || isOfOurs(bytes)).toBe(true);
      }),
      { numRuns: fuzzRuns(1_000) },
    );
  });
});
