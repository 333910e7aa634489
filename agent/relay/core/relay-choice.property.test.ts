import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseRelays, NO_CHOICE } from './choose-relays.ts';
import { meetingPoint, type RelayStanding } from './meeting-point.ts';
import { announceRoundTrips, readAnnounced, smoothRoundTrips } from './round-trips.ts';

const relayIds = ['r1', 'r2', 'r3', 'r4'];
const roundTrips = fc
  .dictionary(fc.constantFrom(...relayIds), fc.double({ min: 0.1, max: 600, noNaN: true }))
  .map((record) => new Map(Object.entries(record)));
const usable = fc.subarray(relayIds).map((some) => new Set(some));
const standing: fc.Arbitrary<RelayStanding> = fc.record({
  home: fc.constantFrom('', ...relayIds),
  roundTrips,
});

describe('the home of a device', () => {
  test.for([
    [{ r1: 50, r2: 41 }, 'r1'],
    [{ r1: 50, r2: 39 }, 'r2'],
    [{ r1: 200, r2: 165 }, 'r1'],
    [{ r1: 200, r2: 159 }, 'r2'],
    [{ r1: 12, r2: 3 }, 'r1'],
    [{ r2: 300 }, 'r2'],
  ] as const)('after r1 with round trips of %j is %s', ([measured, home]) => {
    const before = { home: 'r1', second: 'r2' };
    const choice = chooseRelays(before, new Set(['r1', 'r2']), new Map(Object.entries(measured)));
    expect(choice.home).toBe(home);
  });

  test('that dies is taken over by the second, and comes back only when it is clearly nearer', () => {
    const measured = new Map([
      ['r1', 20],
      ['r2', 25],
      ['r3', 90],
    ]);
    const all = new Set(['r1', 'r2', 'r3']);
    const first = chooseRelays(NO_CHOICE, all, measured);
    expect(first).toEqual({ home: 'r1', second: 'r2' });
    const after = chooseRelays(first, new Set(['r2', 'r3']), measured);
    expect(after).toEqual({ home: 'r2', second: 'r3' });
    expect(chooseRelays(after, all, measured)).toEqual({ home: 'r2', second: 'r1' });
  });

  test('is usable where any is, is not the second, and a repeated choice changes nothing', () => {
    fc.assert(
      fc.property(usable, roundTrips, usable, (now, measured, before) => {
        const choice = chooseRelays(chooseRelays(NO_CHOICE, before, measured), now, measured);
        expect(choice.home !== undefined).toBe(now.size > 0);
        expect(choice.second !== undefined).toBe(now.size > 1);
        const chosen = [choice.home, choice.second].filter((relayId) => relayId !== undefined);
        expect([...now]).toEqual(expect.arrayContaining(chosen));
        expect(choice.home === undefined || choice.home !== choice.second).toBe(true);
        expect(chooseRelays(choice, now, measured)).toEqual(choice);
      }),
    );
  });
});

describe('the meeting point of a pair', () => {
  test('is the same on both sides, and usable', () => {
    fc.assert(
      fc.property(standing, standing, usable, (one, other, relays) => {
        const met = meetingPoint(one, other, relays);
        expect(meetingPoint(other, one, relays)).toBe(met);
        expect(met === undefined).toBe(relays.size === 0);
        expect(met === undefined || relays.has(met)).toBe(true);
      }),
    );
  });

  test.for([
    [{ r1: 10, r2: 40 }, { r1: 100, r2: 20 }, 'r2'],
    [{ r1: 10, r2: 40 }, { r1: 30, r2: 20 }, 'r1'],
    [{ r1: 10, r2: 20 }, { r1: 20, r2: 10 }, 'r1'],
    [{ r1: 10, r3: 1 }, { r2: 10, r3: 1 }, 'r1'],
  ] as const)('of homes r1 and r2 with %j and %j is %s', ([one, other, expected]) => {
    const sides = [
      { home: 'r1', roundTrips: new Map(Object.entries(one)) },
      { home: 'r2', roundTrips: new Map(Object.entries(other)) },
    ] as const;
    expect(meetingPoint(sides[0], sides[1], new Set(['r1', 'r2', 'r3']))).toBe(expected);
  });

  test('is another relay where both homes are gone', () => {
    const side = {
      home: 'r1',
      roundTrips: new Map([
        ['r2', 30],
        ['r3', 20],
      ]),
    };
    expect(meetingPoint(side, side, new Set(['r2', 'r3']))).toBe('r3');
  });
});

describe('what is announced of round trips', () => {
  test('stays while the truth stays near it', () => {
    const announced = announceRoundTrips(
      [],
      new Map([
        ['r1', 20.4],
        ['r2', 100],
      ]),
    );
    expect(announced).toEqual([
      { relayId: 'r1', roundTripUs: 20_000 },
      { relayId: 'r2', roundTripUs: 100_000 },
    ]);
    const near = new Map([
      ['r1', 22.9],
      ['r2', 114],
    ]);
    expect(announceRoundTrips(announced, near)).toEqual(announced);
    const far = new Map([
      ['r1', 24],
      ['r2', 116],
    ]);
    expect([...readAnnounced(announceRoundTrips(announced, far))]).toEqual([
      ['r1', 24],
      ['r2', 116],
    ]);
  });

  test('names the eight nearest', () => {
    const measured = new Map(Array.from({ length: 12 }, (_, index) => [`r${index}`, 50 - index]));
    expect(announceRoundTrips([], measured)).toHaveLength(8);
    expect(readAnnounced(announceRoundTrips([], measured)).has('r0')).toBe(false);
  });

  test('follows samples slowly, and a new network at once', () => {
    const known = new Set(['r1', 'r2']);
    const before = new Map([
      ['r1', 20],
      ['r3', 5],
    ]);
    expect([...smoothRoundTrips(before, new Map([['r1', 40]]), known)]).toEqual([['r1', 25]]);
    expect([
      ...smoothRoundTrips(
        before,
        new Map([
          ['r1', 200],
          ['r2', 9],
        ]),
        known,
      ),
    ]).toEqual([
      ['r1', 200],
      ['r2', 9],
    ]);
  });
});
