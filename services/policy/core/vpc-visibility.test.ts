import type { ResourceImage, SecurityRule } from '@nexodus/contracts/event';
import { describe, expect, test } from 'vitest';
import {
  anywhere,
  device,
  fromAddresses,
  fromDevice,
  fromGroup,
  group,
} from './testing/resource-images.ts';
import { updateOf } from './resource-update.ts';
import { VpcVisibility } from './vpc-visibility.ts';

function pairsIn(...images: ResourceImage[]): string[] {
  const visibility = new VpcVisibility();
  visibility.load(images);
  return [...visibility.pairs()].map(({ first, second }) => `${first}-${second}`).toSorted();
}

const defaultGroup = group('g', { inbound: [fromGroup('g')], outbound: anywhere });

describe('two devices see each other', () => {
  test('in the default group, all of them', () => {
    const images = ['a', 'b', 'c'].map((id, index) =>
      device(id, { host: index + 1, groups: ['g'] }),
    );
    expect(pairsIn(defaultGroup, ...images)).toEqual(['a-b', 'a-c', 'b-c']);
  });

  test('in different groups when one lets the other in, in one direction already', () => {
    const server = group('s', { inbound: [fromGroup('g')], outbound: [] });
    const images = [
      device('a', { host: 1, groups: ['g'] }),
      device('b', { host: 2, groups: ['s'] }),
      device('c', { host: 3, groups: ['s'] }),
    ];
    expect(pairsIn(defaultGroup, server, ...images)).toEqual(['a-b', 'a-c']);
  });

  test('by rules of several groups together', () => {
    const inbound = group('i', { inbound: [fromGroup('o')], outbound: [] });
    const outbound = group('o', { inbound: [], outbound: [fromGroup('i')] });
    const images = [
      device('a', { host: 1, groups: ['o'] }),
      device('b', { host: 2, groups: ['i', 'x'] }),
    ];
    expect(pairsIn(inbound, outbound, ...images)).toEqual(['a-b']);
  });

  const rules: [name: string, inbound: SecurityRule, outbound: SecurityRule, isVisible: boolean][] =
    [
      ['its device', fromDevice('a'), fromDevice('b'), true],
      ['another device', fromDevice('c'), fromDevice('b'), false],
      ['its IPv4 address', fromAddresses('10.0.0.1/32'), fromDevice('b'), true],
      ['its IPv6 address', fromAddresses('fd00::1/128'), fromDevice('b'), true],
      ['a range with it', fromAddresses('10.0.0.1-10.0.0.9'), fromDevice('b'), true],
      ['a range without it', fromAddresses('10.0.0.2-10.0.0.9'), fromDevice('b'), false],
      ['a range that does not parse', fromAddresses('anywhere'), fromDevice('b'), false],
      [
        'a peer of an unknown kind',
        { ...fromDevice('a'), peer: undefined },
        fromDevice('b'),
        false,
      ],
      [
        'other families on each side',
        fromAddresses('10.0.0.0/8'),
        fromAddresses('fd00::/8'),
        false,
      ],
      [
        'other protocols on each side',
        { ...fromDevice('a'), protocol: 6 },
        { ...fromDevice('b'), protocol: 17 },
        false,
      ],
      ['any protocol on one side', { ...fromDevice('a'), protocol: 6 }, fromDevice('b'), true],
      [
        'ports that overlap',
        { ...fromDevice('a'), protocol: 6, firstPort: 22, lastPort: 80 },
        { ...fromDevice('b'), protocol: 6, firstPort: 80, lastPort: 443 },
        true,
      ],
      [
        'ports that do not overlap',
        { ...fromDevice('a'), protocol: 6, firstPort: 22, lastPort: 22 },
        { ...fromDevice('b'), protocol: 6, firstPort: 80, lastPort: 80 },
        false,
      ],
      [
        'ICMP for IPv6 to an IPv4 range',
        { ...fromDevice('a'), protocol: 58 },
        { ...fromAddresses('0.0.0.0/0'), protocol: 58 },
        false,
      ],
    ];

  test.each(rules)('when the receiver lets in %s', (_name, inbound, outbound, isVisible) => {
    const images = [
      group('o', { inbound: [], outbound: [outbound] }),
      group('i', { inbound: [inbound], outbound: [] }),
      device('a', { host: 1, groups: ['o'] }),
      device('b', { host: 2, groups: ['i'] }),
    ];
    expect(pairsIn(...images)).toEqual(isVisible ? ['a-b'] : []);
  });
});

describe('two devices do not see each other', () => {
  test('where one has no binding, no address or no group that exists', () => {
    const whole = device('a', { host: 1, groups: ['g'] });
    expect(
      pairsIn(defaultGroup, whole, device('b', { host: 2, groups: ['g'], isBound: false })),
    ).toEqual([]);
    expect(pairsIn(defaultGroup, whole, device('b', { host: undefined, groups: ['g'] }))).toEqual(
      [],
    );
    expect(pairsIn(defaultGroup, whole, device('b', { host: 2, groups: ['unknown'] }))).toEqual([]);
    expect(pairsIn(defaultGroup, whole, device('b', { host: 2, groups: [] }))).toEqual([]);
  });

  test('by a rule that refers to a group that does not exist, though both list it', () => {
    const refers = group('g', { inbound: [fromGroup('ghost')], outbound: anywhere });
    const images = ['a', 'b'].map((id, index) =>
      device(id, { host: index + 1, groups: ['g', 'ghost'] }),
    );
    expect(pairsIn(refers, ...images)).toEqual([]);
    const ghost = group('ghost', { inbound: [], outbound: [] });
    expect(pairsIn(refers, ghost, ...images)).toEqual(['a-b']);
  });
});

describe('a change', () => {
  const updates = (...images: ResourceImage[]) => images.flatMap((image) => updateOf(image) ?? []);

  test('tells what begins and what ends, and nothing where nothing does', () => {
    const visibility = new VpcVisibility();
    const a = device('a', { host: 1, groups: ['g'] });
    const b = device('b', { host: 2, groups: ['g'] });
    const pair = { first: 'a', second: 'b' };
    expect(visibility.apply(updates(defaultGroup, a))).toEqual({ shown: [], hidden: [] });
    expect(visibility.apply(updates(b))).toEqual({ shown: [pair], hidden: [] });
    expect(visibility.apply(updates(a, b))).toEqual({ shown: [], hidden: [] });
    const closed = group('g', { inbound: [], outbound: anywhere });
    expect(visibility.apply(updates(closed))).toEqual({ shown: [], hidden: [pair] });
    expect(visibility.apply(updates(defaultGroup))).toEqual({ shown: [pair], hidden: [] });
    expect(visibility.apply([{ kind: 'device', id: 'b' }])).toEqual({ shown: [], hidden: [pair] });
  });

  test('of one device among thousands costs what its few peers cost', () => {
    const images = Array.from({ length: 4_000 }, (_unused, index) => {
      const id = `g${Math.floor(index / 4)}`;
      const members = { inbound: [fromGroup(id)], outbound: anywhere };
      return [group(id, members), device(`d${index}`, { host: index + 1, groups: [id] })];
    }).flat();
    const visibility = new VpcVisibility();
    visibility.load(images);
    const startedAt = performance.now();
    for (let round = 0; round < 1_000; round += 1) {
      const moved = device('d0', { host: 1, groups: [`g${round}`] });
      visibility.apply(updates(moved));
    }
    expect(visibility.pairs().size).toBe(1_000 * 6 - 3 + 4);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});
