import type { ResourceChange, ResourceImage, SecurityRule } from '@nexodus/contracts/event';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DevicePair, PairChanges } from './device-pair.ts';
import { FollowedVpc } from './followed-vpc.ts';
import { device, fromAddresses, fromDevice, fromGroup, group } from './testing/resource-images.ts';

const logIncarnation = 'log';
const limits = { maxRevisions: 1_000, maxPairs: 1_000_000 };
const deviceIds = ['d0', 'd1', 'd2', 'd3', 'd4', 'd5'];
const groupIds = ['g0', 'g1', 'g2', 'g3'];

const rule: fc.Arbitrary<SecurityRule> = fc
  .record({
    peer: fc.oneof(
      fc.constantFrom(...groupIds).map(fromGroup),
      fc.constantFrom(...deviceIds).map(fromDevice),
      fc
        .constantFrom('0.0.0.0/0', '::/0', '10.0.0.1-10.0.0.3', '10.0.0.2/32', 'fd00::4/126', 'bad')
        .map(fromAddresses),
    ),
    protocol: fc.constantFrom(0, 0, 1, 6, 17, 58),
    ports: fc.constantFrom([0, 0], [0, 0], [22, 22], [20, 80], [80, 22]),
  })
  .map(({ peer, protocol, ports: [firstPort = 0, lastPort = 0] }) => ({
    ...peer,
    protocol,
    firstPort,
    lastPort,
  }));

const rules = fc.array(rule, { maxLength: 3 });

const aDevice = fc
  .record({
    index: fc.nat({ max: deviceIds.length - 1 }),
    host: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined, freq: 15 }),
    groups: fc.uniqueArray(fc.constantFrom(...groupIds), { maxLength: 3 }),
    isBound: fc.boolean().chain((isBound) => (isBound ? fc.constant(true) : fc.boolean())),
  })
  .map(({ index, ...facts }) => device(`d${index}`, facts));

const aGroup = fc
  .record({ id: fc.constantFrom(...groupIds), inbound: rules, outbound: rules })
  .map(({ id, ...value }) => group(id, value));

const edit = fc.oneof(
  { weight: 3, arbitrary: aDevice },
  { weight: 3, arbitrary: aGroup },
  { weight: 1, arbitrary: fc.constantFrom(...deviceIds, ...groupIds) },
);

/** Each step is one revision: what becomes of some resources. An id alone deletes. */
const history = fc.array(fc.array(edit, { minLength: 1, maxLength: 3 }), {
  minLength: 1,
  maxLength: 12,
});

type State = ReadonlyMap<string, ResourceImage>;

function idOf(image: ResourceImage): string {
  return image.resource?.value.id ?? '';
}

function play(state: State, edits: readonly (ResourceImage | string)[]) {
  const next = new Map(state);
  const changes: ResourceChange[] = [];
  for (const item of edits) {
    const id = typeof item === 'string' ? item : idOf(item);
    const after = typeof item === 'string' ? undefined : item;
    const before = next.get(id);
    if (before === undefined && after === undefined) continue;
    changes.push({ before, after });
    if (after === undefined) next.delete(id);
    else next.set(id, after);
  }
  return { state: next, changes };
}

/** Who sees whom, from nothing and by the words of the definition. */
function reference(state: State): string[] {
  const images = [...state.values()].map(({ resource }) => resource);
  const devices = images.flatMap((image) => (image?.$case === 'device' ? [image.value] : []));
  const groups = images.flatMap((image) => (image?.$case === 'securityGroup' ? [image.value] : []));
  type Device = (typeof devices)[number];
  const groupsOf = ({ securityGroupIds }: Device) =>
    groups.filter(({ id }) => securityGroupIds.includes(id));
  const hostOf = ({ ipv4Address }: Device): number => Number(ipv4Address.split('.')[3]);
  const families = ({ peer, protocol }: SecurityRule, other: Device): string[] => {
    const ofProtocol = { 1: ['4'], 58: ['6'] }[protocol] ?? ['4', '6'];
    if (peer?.$case === 'deviceId') return peer.value === other.id ? ofProtocol : [];
    if (peer?.$case === 'securityGroupId')
      return groupsOf(other).some(({ id }) => id === peer.value) ? ofProtocol : [];
    const host = hostOf(other);
    const matched: Record<string, string[]> = {
      '0.0.0.0/0': ['4'],
      '::/0': ['6'],
      '10.0.0.1-10.0.0.3': host <= 3 ? ['4'] : [],
      '10.0.0.2/32': host === 2 ? ['4'] : [],
      'fd00::4/126': host >= 4 ? ['6'] : [],
    };
    return (matched[peer?.value ?? ''] ?? []).filter((family) => ofProtocol.includes(family));
  };
  const ports = ({ firstPort, lastPort }: SecurityRule): [number, number] =>
    firstPort === 0 && lastPort === 0 ? [0, 65_535] : [firstPort, lastPort];
  const share = (left: SecurityRule, right: SecurityRule): boolean => {
    const [[from, to], [first, last]] = [ports(left), ports(right)];
    const isSameProtocol = [left.protocol, 0].includes(right.protocol) || left.protocol === 0;
    return isSameProtocol && from <= to && first <= last && from <= last && first <= to;
  };
  const reaches = (from: Device, to: Device): boolean =>
    groupsOf(from).some(({ outbound }) =>
      outbound.some((leaving) =>
        groupsOf(to).some(({ inbound }) =>
          inbound.some(
            (entering) =>
              share(leaving, entering) &&
              families(leaving, to).some((family) => families(entering, from).includes(family)),
          ),
        ),
      ),
    );
  const present = devices.filter(({ binding, ipv4Address }) => binding && ipv4Address !== '');
  return present
    .flatMap((left) => present.map((right) => [left, right] as const))
    .filter(([left, right]) => left.id < right.id)
    .filter(([left, right]) => reaches(left, right) || reaches(right, left))
    .map(([left, right]) => `${left.id}-${right.id}`)
    .toSorted();
}

function names(pairs: readonly DevicePair[]): string[] {
  return pairs.map(({ first, second }) => `${first}-${second}`).toSorted();
}

function follow(steps: readonly (readonly (ResourceImage | string)[])[], resyncAt?: number) {
  const first = 5n;
  let vpc = new FollowedVpc({ vpcId: 'v', logIncarnation, revision: first, resources: [] }, limits);
  let state: State = new Map();
  const states: State[] = [state];
  for (const [index, edits] of steps.entries()) {
    const played = play(state, edits);
    state = played.state;
    states.push(state);
    const revision = first + BigInt(index) + 1n;
    if (index === resyncAt) continue;
    if (resyncAt !== undefined && index === resyncAt + 1) {
      const resources = [...state.values()];
      vpc = vpc.resynchronized({ vpcId: 'v', logIncarnation, revision, resources });
    } else {
      vpc.advance({ vpcId: 'v', revision, changes: played.changes });
    }
  }
  return { vpc, states, first };
}

function compile(vpc: FollowedVpc, from: bigint, to: bigint): PairChanges | string {
  const answer = vpc.compile({ logIncarnation, from, to });
  return answer.state === 'known' ? answer.changes : answer.state;
}

test('every interval of every history is what lies between its ends, compiled from nothing', () => {
  fc.assert(
    fc.property(history, (steps) => {
      const { vpc, states, first } = follow(steps);
      const visible = states.map(reference);
      for (const [to, after] of visible.entries()) {
        const atTo = first + BigInt(to);
        expect(compile(vpc, 0n, atTo)).toMatchObject({ hidden: [] });
        const whole = compile(vpc, 0n, atTo);
        expect(typeof whole === 'string' ? whole : names(whole.shown)).toEqual(after);
        for (const [from, before] of visible.slice(0, to + 1).entries()) {
          const changes = compile(vpc, first + BigInt(from), atTo);
          expect(
            typeof changes === 'string'
              ? changes
              : { shown: names(changes.shown), hidden: names(changes.hidden) },
          ).toEqual({
            shown: after.filter((pair) => !before.includes(pair)),
            hidden: before.filter((pair) => !after.includes(pair)),
          });
        }
      }
    }),
    { numRuns: 1_500 },
  );
});

test('a snapshot in place of changes that were missed goes on in the same history', () => {
  fc.assert(
    fc.property(history, fc.nat({ max: 10 }), (steps, resyncAt) => {
      fc.pre(resyncAt + 1 < steps.length);
      const { vpc, states, first } = follow(steps, resyncAt);
      const before = reference(states[resyncAt] ?? new Map());
      const after = reference(states.at(-1) ?? new Map());
      const head = first + BigInt(steps.length);
      const changes = compile(vpc, first + BigInt(resyncAt), head);
      expect(typeof changes === 'string' ? changes : names(changes.shown)).toEqual(
        after.filter((pair) => !before.includes(pair)),
      );
      expect(compile(vpc, first + BigInt(resyncAt) + 1n, head)).toBe('compacted');
    }),
    { numRuns: 500 },
  );
});
