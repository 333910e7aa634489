import { ManualClock } from '@nexodus/clock';
import type { VpcChange } from '@nexodus/contracts/event';
import { silentLogger } from '@nexodus/telemetry';
import { expect, test, vi } from 'vitest';
import { deviceIdOf, VpcModel } from '../core/network-map/vpc-history.fixture.ts';
import type { OutboxChange } from '../core/network-map/view-outbox.ts';
import { MissedRemovals } from './missed-removals.ts';

/** A log in which devices come and go, one change each. */
function logOf(count: number): readonly VpcChange[] {
  const model = new VpcModel();
  for (let device = 0; device < count / 2; device += 1) {
    model.append({ kind: 'put', device: device % 20, group: 1, serial: 1 });
    model.append({ kind: 'delete', device: device % 20 });
  }
  return model.changes;
}

function setUp(changes: readonly VpcChange[], hidden: readonly string[] = []) {
  const clock = new ManualClock();
  const reads: bigint[] = [];
  const stopping = new AbortController();
  const log = { isDown: false };
  const missed = new MissedRemovals({
    vpcId: 'vpc',
    changeLog: {
      read: (_vpcId, after, limit) => {
        reads.push(after);
        if (log.isDown) return Promise.reject(new Error('down'));
        const rest = changes.slice(Number(after)).slice(0, limit);
        return Promise.resolve(rest.map((change) => ({ change, traceparent: '' })));
      },
    },
    clock,
    logger: silentLogger,
    signal: stopping.signal,
    hiddenIds: () => hidden,
  });
  const open = (appliedRevision: bigint, isAttached = false) => {
    const keys = new Set<string>();
    const add = (change: OutboxChange): void => {
      for (const { key } of change.entries) keys.add(key);
    };
    const session = { hello: { appliedRevision }, isAttached, isOver: false, keys, add };
    missed.tell(session);
    return session;
  };
  return { clock, log, missed, open, reads };
}

test('the log is read once for all who wait, and each hears what it missed', async () => {
  const { clock, missed, open, reads } = setUp(logOf(12));
  const [early, late] = [open(2n), open(10n)];
  clock.advance(50);
  await missed.settled();
  expect(reads).toEqual([2n]);
  expect(early.keys.size).toBe(5);
  expect([...late.keys]).toEqual([`peer/${deviceIdOf(5)}`]);
});

test('who follows the views by then costs no read', async () => {
  const { clock, missed, open, reads } = setUp(logOf(12));
  open(2n).isAttached = true;
  clock.advance(50);
  await missed.settled();
  expect(reads).toEqual([]);
});

test('a removal that is further back than one read is told', async () => {
  const changes = [...logOf(4_200)];
  const { clock, missed, open, reads } = setUp(changes);
  const session = open(40n);
  clock.advance(50);
  await missed.settled();
  expect(reads).toEqual([40n, 4_136n]);
  expect(session.keys.size).toBe(20);
});

test('who is hidden already is told too, though the log does not say so', async () => {
  const { clock, missed, open } = setUp([], [deviceIdOf(7)]);
  const session = open(3n);
  clock.advance(50);
  await missed.settled();
  expect([...session.keys]).toEqual([`peer/${deviceIdOf(7)}`]);
});

test('a log that does not answer is asked again', async () => {
  const { clock, log, missed, open, reads } = setUp(logOf(12));
  log.isDown = true;
  const session = open(10n);
  clock.advance(50);
  await vi.waitFor(() => expect([reads.length, clock.pendingTimers]).toEqual([1, 1]));
  log.isDown = false;
  clock.advance(1_000);
  await missed.settled();
  expect(session.keys.size).toBe(1);
});
