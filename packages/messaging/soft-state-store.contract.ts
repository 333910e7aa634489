import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { SoftStateChange, SoftStateEntry, SoftStateStore } from './soft-state-store.ts';
import { InvalidSubjectError } from './subject.ts';

/** Two ends of one store, which may be the same object. */
export interface SoftStateFixture {
  readonly near: SoftStateStore;
  readonly far: SoftStateStore;
  readonly stop: () => Promise<void>;
}

function entry(key: string, epoch: bigint, sequence: bigint, leaseUntil = 1_000): SoftStateEntry {
  return {
    key,
    epoch,
    sequence,
    leaseUntil,
    value: new Uint8Array(Buffer.from(`${epoch}/${sequence}`)),
  };
}

/** What every soft-state store promises. Each test uses keys of its own. */
export function describeSoftStateStore(
  name: string,
  start: () => Promise<SoftStateFixture>,
  propertyRuns: number,
): void {
  describe(`${name} as a soft-state store`, () => {
    let fixture: SoftStateFixture;

    beforeAll(async () => {
      fixture = await start();
    });

    afterAll(() => fixture.stop());

    describeWrites(() => fixture);
    describeWatches(() => fixture);

    test('any interleaving of puts leaves the highest epoch and sequence', async () => {
      let run = 0;
      const version = fc.tuple(fc.bigInt({ min: 0n, max: 5n }), fc.bigInt({ min: 0n, max: 5n }));
      const property = fc.asyncProperty(
        fc.array(version, { minLength: 1, maxLength: 8 }),
        async (versions) => {
          run += 1;
          const key = `property.${run}`;
          const { near, far } = fixture;
          await Promise.all(
            versions.map(([epoch, sequence], index) =>
              (index % 2 ? near : far).put(entry(key, epoch, sequence)),
            ),
          );
          const [epoch, sequence] = versions.toSorted(compareVersions).at(-1) ?? [0n, 0n];
          expect(await near.get(key)).toEqual(entry(key, epoch, sequence));
        },
      );
      await fc.assert(property, { numRuns: propertyRuns });
    });
  });
}

function compareVersions(
  left: readonly [bigint, bigint],
  right: readonly [bigint, bigint],
): number {
  const difference = left[0] === right[0] ? left[1] - right[1] : left[0] - right[0];
  return Number(difference);
}

function describeWrites(fixture: () => SoftStateFixture): void {
  test('gives back what was put, by key and by the tokens of a prefix', async () => {
    const { near, far } = fixture();
    const first = {
      ...entry('list.1', 2n ** 64n - 1n, 2n ** 64n - 1n),
      value: new Uint8Array([0, 255, 10]),
    };
    expect(await near.put(first)).toBe('stored');
    await near.put(entry('list.2', 1n, 1n));
    await near.put(entry('listed.3', 1n, 1n));
    expect(await far.get('list.1')).toEqual(first);
    expect(await far.get('list.9')).toBeUndefined();
    expect((await far.list('list')).map(({ key }) => key).toSorted()).toEqual(['list.1', 'list.2']);
    expect((await far.list('')).length).toBeGreaterThanOrEqual(3);
    expect(await far.list('nothing')).toEqual([]);
  });

  test.each(['', 'a b', 'a.*', 'a.>', '.a'])('refuses the key %j', async (key) => {
    await expect(fixture().near.put(entry(key, 1n, 1n))).rejects.toThrow(InvalidSubjectError);
    await expect(fixture().near.get(key)).rejects.toThrow(InvalidSubjectError);
  });

  test('refuses what is older and takes the same again', async () => {
    const { near, far } = fixture();
    await near.put(entry('fence.1', 2n, 5n));
    expect(await far.put(entry('fence.1', 1n, 9n))).toBe('stale');
    expect(await far.put(entry('fence.1', 2n, 4n))).toBe('stale');
    expect(await far.put(entry('fence.1', 2n, 5n, 2_000))).toBe('stored');
    expect((await near.get('fence.1'))?.leaseUntil).toBe(2_000);
    expect(await far.put(entry('fence.1', 3n, 0n))).toBe('stored');
  });

  test('an ended session cannot come back, a later one can', async () => {
    const { near, far } = fixture();
    await near.put(entry('end.1', 2n, 5n));
    expect(await far.delete('end.1', 1n)).toBe('stale');
    expect(await far.delete('end.1', 2n)).toBe('deleted');
    expect(await near.get('end.1')).toBeUndefined();
    expect(await near.list('end')).toEqual([]);
    expect(await near.put(entry('end.1', 2n, 6n))).toBe('stale');
    expect(await near.put(entry('end.1', 3n, 0n))).toBe('stored');
    expect(await far.delete('end.2', 7n)).toBe('deleted');
    expect(await near.put(entry('end.2', 7n, 1n))).toBe('stale');
  });

  test('a sweep ends what has expired; its session may renew it and an older one may not', async () => {
    const { near, far } = fixture();
    await near.put(entry('sweep.1', 2n, 1n, 100));
    await near.put(entry('sweep.2', 2n, 1n, 101));
    expect(await far.sweep(100)).toEqual(['sweep.1']);
    expect(await far.sweep(100)).toEqual([]);
    expect((await near.list('sweep')).map(({ key }) => key)).toEqual(['sweep.2']);
    expect(await near.put(entry('sweep.1', 1n, 9n, 200))).toBe('stale');
    expect(await near.put(entry('sweep.1', 2n, 2n, 200))).toBe('stored');
    expect(await far.sweep(150)).toEqual(['sweep.2']);
    expect((await near.list('sweep')).map(({ key }) => key)).toEqual(['sweep.1']);
  });
}

function describeWatches(fixture: () => SoftStateFixture): void {
  test('a watch begins with the contents and goes on with the changes', async () => {
    const { near, far } = fixture();
    await near.put(entry('watch.1', 1n, 1n));
    await near.put(entry('watch.gone', 1n, 1n));
    await near.delete('watch.gone', 1n);
    const controller = new AbortController();
    const changes = far.watch('watch', controller.signal)[Symbol.asyncIterator]();
    const next = async (): Promise<SoftStateChange | undefined> =>
      (await changes.next()).value ?? undefined;
    expect(await next()).toEqual({ kind: 'put', entry: entry('watch.1', 1n, 1n) });
    await near.put(entry('elsewhere.1', 1n, 1n));
    await near.put(entry('watch.2', 1n, 1n));
    expect(await next()).toEqual({ kind: 'put', entry: entry('watch.2', 1n, 1n) });
    await near.put(entry('watch.1', 1n, 2n));
    expect(await next()).toEqual({ kind: 'put', entry: entry('watch.1', 1n, 2n) });
    await near.delete('watch.1', 1n);
    expect(await next()).toEqual({ kind: 'delete', key: 'watch.1' });
    await near.put(entry('watch.2', 1n, 2n, 10));
    expect(await next()).toEqual({ kind: 'put', entry: entry('watch.2', 1n, 2n, 10) });
    await near.sweep(11);
    expect(await next()).toEqual({ kind: 'delete', key: 'watch.2' });
    const end = changes.next();
    controller.abort();
    expect((await end).done).toBe(true);
  });

  test('a watch that nobody reads to the end can be left', async () => {
    const { near, far } = fixture();
    await near.put(entry('left.1', 1n, 1n));
    for await (const change of far.watch('left', new AbortController().signal)) {
      expect(change.kind).toBe('put');
      break;
    }
  });
}
