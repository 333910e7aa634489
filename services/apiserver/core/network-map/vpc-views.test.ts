import { peerKey } from '@nexodus/network-map';
import { describe, expect, test } from 'vitest';
import { deviceIdOf, VpcModel } from './vpc-history.fixture.ts';
import { LogGap, VpcViews } from './vpc-views.ts';

/** A VPC in which devices 0 to `count` - 1 see each other, compiled. */
function fullMesh(count: number): { model: VpcModel; views: VpcViews } {
  const model = new VpcModel();
  for (let device = 0; device < count; device += 1) {
    model.append({ kind: 'put', device, group: 1, serial: 1 });
  }
  const views = new VpcViews(model.snapshotAt(model.head));
  views.advance(model.head, model.compile(0n, model.head), 0);
  return { model, views };
}

describe('the views of a VPC', () => {
  test('nobody sees anybody before policy has answered', () => {
    const { model } = fullMesh(2);
    const views = new VpcViews(model.snapshotAt(model.head));
    expect([...views.viewOf(deviceIdOf(0)).keys()]).toEqual(['self']);
  });

  test('one entry of one device goes to all who see it, as the same object', () => {
    const { model, views } = fullMesh(30);
    views.enqueue(model.append({ kind: 'put', device: 3, group: 1, serial: 2 })!, 0);
    const changes = views.advance(model.head, model.compile(30n, 31n), 0);
    expect(changes.size).toBe(30);
    const entries = [...changes].filter(([id]) => id !== deviceIdOf(3)).map(([, list]) => list);
    expect(entries.every((list) => list.length === 1)).toBe(true);
    expect(new Set(entries.map(([entry]) => entry)).size).toBe(1);
  });

  test('two views have the same object as the entry of a device that both see', () => {
    const { views } = fullMesh(3);
    const seenBy = (device: number) =>
      views.entriesOf(deviceIdOf(device)).find(({ key }) => key === peerKey(deviceIdOf(2)));
    expect(seenBy(0)).toBeDefined();
    expect(seenBy(0)).toBe(seenBy(1));
  });

  test('a change of one device touches nobody who does not see it', () => {
    const { model, views } = fullMesh(3);
    views.enqueue(model.append({ kind: 'put', device: 4, group: 2, serial: 1 })!, 0);
    const changes = views.advance(4n, model.compile(3n, 4n), 0);
    expect([...changes.keys()]).toEqual([deviceIdOf(4)]);
  });

  test('a mesh of a thousand devices is taken in, and one more is told to each once', () => {
    const { model, views } = fullMesh(1_000);
    views.enqueue(model.append({ kind: 'put', device: 1_000, group: 1, serial: 1 })!, 0);
    const changes = views.advance(1_001n, model.compile(0n, 1_001n), 0);
    expect(changes.size).toBe(1_001);
    expect(changes.get(deviceIdOf(0))?.map(({ key }) => key)).toEqual([peerKey(deviceIdOf(1_000))]);
  });

  test('a missing revision is a gap, a repeated one is ignored', () => {
    const { model, views } = fullMesh(2);
    const [first, second] = [3, 4].map((device) =>
      model.append({ kind: 'put', device, group: 1, serial: 1 }),
    );
    expect(() => views.enqueue(second!, 0)).toThrow(LogGap);
    views.enqueue(first!, 0);
    views.enqueue(first!, 0);
    expect([views.pendingCount, views.latestRevision]).toEqual([1, 3n]);
  });

  test('an expired device comes back with the answer for the change that renewed it', () => {
    const { model, views } = fullMesh(2);
    views.enqueue(model.append({ kind: 'expire-at', device: 1, atSeconds: 10 })!, 0);
    views.advance(3n, model.compile(2n, 3n), 0);
    expect(views.expire(9_999).expiredDeviceIds).toEqual([]);
    expect(views.noExpiryBeforeMs).toBe(10_000);
    const { changes, expiredDeviceIds } = views.expire(10_000);
    expect(expiredDeviceIds).toEqual([deviceIdOf(1)]);
    expect([...changes.keys()]).toEqual([deviceIdOf(0)]);
    expect(views.expire(10_001).expiredDeviceIds).toEqual([]);
    views.enqueue(model.append({ kind: 'expire-at', device: 1, atSeconds: 99 })!, 10_001);
    expect(views.sees(deviceIdOf(0), deviceIdOf(1))).toBe(false);
    views.advance(4n, model.compile(3n, 4n), 10_001);
    expect(views.sees(deviceIdOf(0), deviceIdOf(1))).toBe(true);
  });

  test('who expired, or was deleted with policy down, is hidden, and so also where that is older than the views', () => {
    const { model, views } = fullMesh(4);
    views.enqueue(model.append({ kind: 'expire-at', device: 1, atSeconds: 10 })!, 0);
    views.enqueue(model.append({ kind: 'delete', device: 2 })!, 0);
    expect(views.hiddenIds(9_999)).toEqual([deviceIdOf(2)]);
    expect(views.hiddenIds(10_000).toSorted()).toEqual([deviceIdOf(1), deviceIdOf(2)]);
    const fresh = new VpcViews(model.snapshotAt(model.head));
    expect(fresh.hiddenIds(10_000)).toEqual([deviceIdOf(1)]);
  });
});
