import type { VpcChange } from '@nexodus/contracts/event';
import { describe, expect, test } from 'vitest';
import { FollowedVpc, RevisionGapError } from './followed-vpc.ts';
import { anywhere, device, fromGroup, group } from './testing/resource-images.ts';

const limits = { maxRevisions: 3, maxPairs: 100 };
const g = group('g', { inbound: [fromGroup('g')], outbound: anywhere });
const a = device('a', { host: 1, groups: ['g'] });
const pair = { first: 'a', second: 'b' };
const snapshot = { vpcId: 'v', logIncarnation: 'log', revision: 10n, resources: [g, a] };

/** At even revisions device b is added, at odd ones removed. */
function change(revision: bigint): VpcChange {
  const b = device('b', { host: 2, groups: ['g'] });
  const isAdded = revision % 2n === 0n;
  const touched = isAdded ? { before: undefined, after: b } : { before: b, after: undefined };
  return { vpcId: 'v', revision, changes: [touched] };
}

function at(head: bigint): FollowedVpc {
  const vpc = new FollowedVpc(snapshot, limits);
  for (let revision = 11n; revision <= head; revision += 1n) vpc.advance(change(revision));
  return vpc;
}

const ask = (vpc: FollowedVpc, from: bigint, to: bigint, logIncarnation = 'log') =>
  vpc.compile({ logIncarnation, from, to });
const known = (shown: object[], hidden: object[]) => ({
  state: 'known',
  changes: { shown, hidden },
});

describe('an interval', () => {
  test('is answered as far back as it is kept, and by what it amounts to', () => {
    const vpc = at(14n);
    expect(ask(vpc, 11n, 12n)).toEqual(known([pair], []));
    expect(ask(vpc, 12n, 13n)).toEqual(known([], [pair]));
    expect(ask(vpc, 11n, 13n)).toEqual(known([], []));
    expect(ask(vpc, 12n, 12n)).toEqual(known([], []));
    expect(ask(vpc, 10n, 14n)).toEqual({ state: 'compacted' });
    expect(ask(vpc, 9n, 9n)).toEqual({ state: 'compacted' });
  });

  test('from nothing is answered for earlier ends too', () => {
    const vpc = at(14n);
    expect(ask(vpc, 0n, 14n)).toEqual(known([pair], []));
    expect(ask(vpc, 0n, 13n)).toEqual(known([], []));
    expect(ask(vpc, 0n, 12n)).toEqual(known([pair], []));
    expect(ask(vpc, 0n, 10n)).toEqual({ state: 'compacted' });
  });

  test('whose end has not arrived is ahead', () => {
    expect(ask(at(12n), 11n, 13n)).toEqual({ state: 'ahead' });
    expect(ask(at(12n), 0n, 13n)).toEqual({ state: 'ahead' });
  });

  test('of another log is compacted, or ahead where it is asked from nothing', () => {
    expect(ask(at(12n), 11n, 12n, 'other')).toEqual({ state: 'compacted' });
    expect(ask(at(12n), 0n, 12n, 'other')).toEqual({ state: 'ahead' });
  });

  test('is kept for the newest revision however many pairs it changes', () => {
    const vpc = new FollowedVpc(snapshot, { maxRevisions: 3, maxPairs: 0 });
    vpc.advance(change(11n));
    vpc.advance(change(12n));
    expect(ask(vpc, 11n, 12n)).toEqual(known([pair], []));
    expect(ask(vpc, 10n, 12n)).toEqual({ state: 'compacted' });
    expect(ask(vpc, 0n, 12n)).toEqual(known([pair], []));
  });
});

describe('a revision', () => {
  test('that is known changes nothing, and one that is missing is noticed', () => {
    const vpc = at(12n);
    vpc.advance(change(11n));
    expect(vpc.revision).toBe(12n);
    expect(() => vpc.advance(change(14n))).toThrow(RevisionGapError);
  });
});

describe('another snapshot', () => {
  test('of the same state keeps the history', () => {
    const vpc = at(13n).resynchronized({ ...snapshot, revision: 13n });
    expect(ask(vpc, 11n, 12n)).toEqual(known([pair], []));
  });

  test.each([
    ['of another log', { logIncarnation: 'other' }],
    ['that is older', { revision: 5n }],
    ['of the same revision with another state', { revision: 14n }],
  ])('%s begins anew', (_name, difference) => {
    const next = { ...snapshot, revision: 20n, ...difference };
    const vpc = at(14n).resynchronized(next);
    expect(vpc.revision).toBe(next.revision);
    expect(ask(vpc, 0n, next.revision, next.logIncarnation)).toEqual(known([], []));
    expect(ask(vpc, 13n, 14n)).not.toMatchObject({ state: 'known' });
  });
});
