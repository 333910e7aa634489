import { type ViewEntry, type ViewInterval, ViewKind } from '@nexodus/contracts/agent';
import {
  applyBookmark,
  applyInterval,
  peerKey,
  selfKey,
  type View,
  ViewDigest,
} from '@nexodus/network-map';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { countFrames, framesOf } from './view-frames.ts';
import { ViewOutbox } from './view-outbox.ts';
import { type ViewChanges, VpcViews } from './vpc-views.ts';
import {
  deviceIdOf,
  isAllowed,
  logIncarnation,
  type Step,
  vpcId,
  VpcModel,
} from './vpc-history.fixture.ts';

const DEVICES = 5;
const device = fc.integer({ min: 0, max: DEVICES - 1 });

/** What may happen next: to the VPC, to policy, to a stream. */
type Event =
  | Step
  | { kind: 'compile'; share: number; whole: boolean }
  | { kind: 'pass-time'; seconds: number }
  | { kind: 'open'; device: number }
  | { kind: 'close'; device: number }
  | { kind: 'read'; device: number }
  | { kind: 'heartbeat'; device: number };

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      device,
      group: fc.integer({ min: 0, max: 2 }),
      serial: fc.integer({ min: 0, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), device }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('expire-at' as const),
      device,
      atSeconds: fc.integer({ min: 0, max: 60 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('compile' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      whole: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('pass-time' as const),
      seconds: fc.integer({ min: 0, max: 20 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('open' as const), device }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const), device }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('read' as const), device }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('heartbeat' as const), device }) },
);

/** An agent with what it holds, and its stream while it is open. */
interface Agent {
  view: View | undefined;
  outbox: ViewOutbox | undefined;
}

/** One replica with its policy and its agents. */
class World {
  readonly model = new VpcModel();
  readonly views = new VpcViews(this.model.snapshotAt(0n));
  readonly agents = Array.from({ length: DEVICES }, (): Agent => ({
    view: undefined,
    outbox: undefined,
  }));
  nowMs = 0;

  constructor() {
    this.views.advance(0n, this.model.compile(0n, 0n), 0);
  }

  do(what: Event): void {
    switch (what.kind) {
      case 'put':
      case 'delete':
      case 'expire-at':
        this.change(what);
        break;
      case 'compile':
        this.compile(what.share, what.whole);
        break;
      case 'pass-time':
        this.nowMs += what.seconds * 1_000;
        this.expire();
        break;
      case 'open':
        this.open(what.device);
        break;
      case 'close':
        this.agents[what.device]!.outbox = undefined;
        break;
      case 'read':
        this.read(what.device);
        break;
      case 'heartbeat':
        this.heartbeat(what.device);
        break;
    }
  }

  settle(): void {
    this.compile(1, false);
    for (let index = 0; index < DEVICES; index += 1) {
      this.open(index);
      this.read(index);
      this.heartbeat(index);
    }
  }

  change(step: Step): void {
    const change = this.model.append(step);
    if (change === undefined) return;
    const { changes, deletedDeviceIds, expiredDeviceIds } = this.views.enqueue(change, this.nowMs);
    this.spread(changes);
    this.end([...deletedDeviceIds, ...expiredDeviceIds]);
    for (const id of deletedDeviceIds) {
      for (const [viewerId] of this.model.devicesAt(this.views.revision)) {
        expect(this.views.sees(viewerId, id)).toBe(false);
      }
    }
  }

  expire(): void {
    const { changes, expiredDeviceIds } = this.views.expire(this.nowMs);
    this.spread(changes);
    this.end(expiredDeviceIds);
  }

  end(deviceIds: readonly string[]): void {
    for (const [index, agent] of this.agents.entries()) {
      if (deviceIds.includes(deviceIdOf(index))) agent.outbox = undefined;
    }
  }

  compile(share: number, isWhole: boolean): void {
    const { revision, pendingCount } = this.views;
    const to = revision + BigInt(Math.round(share * pendingCount));
    const answer = this.model.compile(isWhole ? 0n : revision, to);
    this.spread(this.views.advance(to, answer, this.nowMs));
  }

  open(index: number): void {
    const agent = this.agents[index]!;
    if (agent.outbox !== undefined) return;
    if (this.views.whereIs(deviceIdOf(index)) !== 'here') return;
    agent.outbox = new ViewOutbox(4);
    const isSame =
      agent.view !== undefined &&
      agent.view.revision <= this.views.revision &&
      sameEntries(agent.view.entries, this.views.viewOf(deviceIdOf(index)));
    if (isSame && agent.view !== undefined) {
      agent.outbox.attach(this.views.revision);
      agent.view = applyBookmark(agent.view, this.views.revision);
    } else {
      agent.outbox.markStale();
    }
  }

  read(index: number): void {
    const agent = this.agents[index]!;
    const item = agent.outbox?.take(this.views.revision);
    if (item === undefined) return;
    const entries = item.kind === 'delta' ? item.entries : this.views.entriesOf(deviceIdOf(index));
    const interval: ViewInterval = {
      vpcId,
      logIncarnation,
      kind: item.kind === 'delta' ? ViewKind.DELTA : ViewKind.SNAPSHOT,
      from: item.kind === 'delta' ? item.from : 0n,
      to: item.to,
      frames: countFrames(entries),
      traceparent: '',
    };
    agent.view = applyInterval(agent.view, interval, [...framesOf(entries)]);
  }

  heartbeat(index: number): void {
    const agent = this.agents[index]!;
    const revision = agent.outbox?.bookmark(this.views.revision) ?? 0n;
    if (revision > 0n && agent.view !== undefined) agent.view = applyBookmark(agent.view, revision);
  }

  spread(changes: ViewChanges): void {
    for (const [deviceId, entries] of changes) {
      const agent = this.agents.find((_, index) => deviceIdOf(index) === deviceId);
      this.forward(agent, entries);
    }
  }

  forward(agent: Agent | undefined, entries: readonly ViewEntry[]): void {
    agent?.outbox?.add({ entries, to: this.views.revision, traceparent: '', seenAtMs: 0 });
  }
}

function sameEntries(
  left: ReadonlyMap<string, Uint8Array>,
  right: ReadonlyMap<string, Uint8Array>,
): boolean {
  return (
    left.size === right.size &&
    [...left].every(([key, value]) => {
      const other = right.get(key);
      return other !== undefined && Buffer.compare(value, other) === 0;
    })
  );
}

const history = fc.array(event, { maxLength: 80, size: 'max' });

describe('whatever happens to a VPC, to policy and to its streams', () => {
  test('the intervals join, and folding what a stream carried equals its device’s view', () => {
    const law = fc.property(history, (events) => {
      const world = new World();
      for (const what of events) world.do(what);
      world.settle();
      for (const [index, agent] of world.agents.entries()) {
        if (world.views.whereIs(deviceIdOf(index)) !== 'here') continue;
        expect(agent.view?.revision).toBe(world.model.head);
        const entries = agent.view?.entries ?? new Map<string, Uint8Array>();
        expect(sameEntries(entries, world.views.viewOf(deviceIdOf(index)))).toBe(true);
      }
    });
    fc.assert(law, { numRuns: 1_000 });
  });

  test('the digest that is added up is the digest of the view', () => {
    const law = fc.property(history, (events) => {
      const world = new World();
      for (const what of events) world.do(what);
      for (let index = 0; index < DEVICES; index += 1) {
        const hashed = ViewDigest.of(world.views.viewOf(deviceIdOf(index)));
        expect(world.views.digestOf(deviceIdOf(index)).equals(hashed.toBytes())).toBe(true);
      }
    });
    fc.assert(law, { numRuns: 500 });
  });

  test('the views are what the rules say, and devices that both published a binding see each other or neither', () => {
    const law = fc.property(history, (events) => {
      const world = new World();
      for (const what of events) world.do(what);
      world.settle();
      const devices = world.model.devicesAt(world.model.head);
      const isAlive = (id: string): boolean =>
        Number(devices.get(id)!.expireTimeSeconds) * 1_000 > world.nowMs;
      for (const [id, image] of devices) {
        const expected = [...devices.values()]
          .filter((peer) => peer.id !== id && isAllowed(image, peer))
          .filter((peer) => peer.binding !== undefined && isAlive(peer.id))
          .map((peer) => peerKey(peer.id));
        expect([...world.views.viewOf(id).keys()].toSorted()).toEqual(
          [...expected, selfKey].toSorted(),
        );
      }
    });
    fc.assert(law, { numRuns: 500 });
  });

  test('a deleted or expired device leaves every view without policy', () => {
    const law = fc.property(history, device, fc.boolean(), (events, index, isDeletion) => {
      const world = new World();
      for (const what of events) world.do(what);
      const id = deviceIdOf(index);
      const viewers = world.views.viewersOf(id);
      for (let other = 0; other < DEVICES; other += 1) world.open(other);
      const revision = world.views.revision;
      if (isDeletion) world.change({ kind: 'delete', device: index });
      else world.change({ kind: 'expire-at', device: index, atSeconds: 0 });
      expect(world.views.revision).toBe(revision);
      expect(world.views.viewersOf(id).size).toBe(0);
      for (const [other, agent] of world.agents.entries()) {
        if (!viewers.has(deviceIdOf(other)) || agent.outbox === undefined) continue;
        while (agent.outbox.take(revision) !== undefined);
        expect(world.views.viewOf(deviceIdOf(other)).has(peerKey(id))).toBe(false);
      }
    });
    fc.assert(law, { numRuns: 500 });
  });

  test('a whole answer and the differences before it give the same views', () => {
    const law = fc.property(history, (events) => {
      const world = new World();
      for (const what of events) world.do(what);
      world.compile(1, false);
      const fresh = new VpcViews(world.model.snapshotAt(world.model.head));
      fresh.advance(world.model.head, world.model.compile(0n, world.model.head), world.nowMs);
      fresh.expire(world.nowMs);
      for (const id of fresh.deviceIds()) {
        expect(sameEntries(fresh.viewOf(id), world.views.viewOf(id))).toBe(true);
      }
    });
    fc.assert(law, { numRuns: 500 });
  });
});
