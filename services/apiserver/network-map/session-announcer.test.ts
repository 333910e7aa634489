import { ManualClock } from '@nexodus/clock';
import { DeviceState } from '@nexodus/contracts/event';
import { EndpointKind } from '@nexodus/contracts/type';
import {
  createInProcessSoftStateStore,
  SoftStateUnavailableError,
  type SoftStateStore,
} from '@nexodus/messaging';
import { silentLogger } from '@nexodus/telemetry';
import { describe, expect, test, vi } from 'vitest';
import { NOWHERE } from '../core/network-map/whereabouts.ts';
import { SessionAnnouncer } from './session-announcer.ts';

const KEY = 'vpc.device';

function setUp() {
  const clock = new ManualClock(1_000_000);
  const store = createInProcessSoftStateStore({ clock, random: () => 0 });
  const begin = (epoch: bigint, softState: Pick<SoftStateStore, 'put' | 'delete'> = store) => {
    const superseded = vi.fn<() => void>();
    const announcer = new SessionAnnouncer({
      softState,
      clock,
      logger: silentLogger,
      vpcId: 'vpc',
      deviceId: 'device',
      epoch,
      whereabouts: NOWHERE,
      superseded,
    });
    announcer.begin();
    return { announcer, superseded };
  };
  /** Lets what is due be written. */
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await vi.waitFor(() => expect(clock.pendingTimers).toBeGreaterThan(0));
  };
  return { clock, store, begin, pass };
}

describe('announcing a session', () => {
  test('the device is online until the lease ends, which is renewed well before', async () => {
    const { clock, store, begin, pass } = setUp();
    begin(1n);
    await pass(0);
    expect((await store.get(KEY))?.leaseUntil).toBe(clock.now() + 90_000);
    await pass(30_000);
    expect((await store.get(KEY))?.leaseUntil).toBe(clock.now() + 90_000);
    await store.sweep(clock.now() + 89_000);
    expect(await store.get(KEY)).toBeDefined();
  });

  test('new endpoints are written soon, and several at once only once', async () => {
    const { store, begin, pass } = setUp();
    const { announcer } = begin(1n);
    await pass(0);
    for (const address of ['192.0.2.1:1', '192.0.2.2:1', '192.0.2.3:1']) {
      announcer.setWhereabouts({ ...NOWHERE, endpoints: [{ address, kind: EndpointKind.LOCAL }] });
    }
    await pass(50);
    const entry = await store.get(KEY);
    expect(entry?.sequence).toBe(2n);
    const { endpoints, online } = DeviceState.decode(entry!.value);
    expect([online, endpoints.map(({ address }) => address)]).toEqual([true, ['192.0.2.3:1']]);
  });

  test('a device that speaks all the time is written once a second, and stays online', async () => {
    const { clock, store, begin, pass } = setUp();
    const { announcer } = begin(1n);
    await pass(0);
    for (let spoken = 0; spoken < 300; spoken += 1) {
      announcer.setWhereabouts({
        ...NOWHERE,
        endpoints: [{ address: `192.0.2.1:${spoken}`, kind: EndpointKind.LOCAL }],
      });
      await pass(40);
    }
    const entry = await store.get(KEY);
    expect(entry?.leaseUntil).toBeGreaterThan(clock.now() + 88_000);
    expect(entry?.sequence).toBeGreaterThanOrEqual(12n);
    expect(entry?.sequence).toBeLessThanOrEqual(14n);
  });

  test('what is said again does not put off the renewal', async () => {
    const { clock, store, begin, pass } = setUp();
    const { announcer } = begin(1n);
    await pass(0);
    for (let said = 0; said < 7; said += 1) {
      announcer.setWhereabouts(NOWHERE);
      await pass(5_000);
    }
    const entry = await store.get(KEY);
    expect([entry?.sequence, entry?.leaseUntil]).toEqual([2n, clock.now() - 5_000 + 90_000]);
  });

  test('the late end of an older session leaves the newer one online', async () => {
    const { store, begin, pass } = setUp();
    const older = begin(1n);
    await pass(0);
    begin(2n);
    await pass(0);
    await older.announcer.end(false);
    expect((await store.get(KEY))?.epoch).toBe(2n);
  });

  test('a session that finds a newer one is told so', async () => {
    const { store, begin, pass } = setUp();
    const older = begin(1n);
    await pass(0);
    begin(2n);
    await pass(0);
    await vi.waitFor(async () => expect((await store.get(KEY))?.epoch).toBe(2n));
    await pass(30_000);
    await vi.waitFor(() => expect(older.superseded).toHaveBeenCalled());
  });

  test('an ended session is offline at once, and its writes under way do not bring it back', async () => {
    const { clock, store, begin, pass } = setUp();
    const { announcer } = begin(1n);
    await pass(0);
    announcer.setWhereabouts({
      ...NOWHERE,
      endpoints: [{ address: '192.0.2.1:1', kind: EndpointKind.LOCAL }],
    });
    clock.advance(50);
    const ended = vi.fn<() => void>();
    void announcer.end(false).then(ended);
    await vi.waitFor(() => {
      clock.advance(1_000);
      expect(ended).toHaveBeenCalled();
    });
    expect(await store.get(KEY)).toBeUndefined();
  });

  test('while the store cannot be reached it tries again every few seconds', async () => {
    const { store, begin, pass } = setUp();
    let isDown = true;
    begin(1n, {
      put: (entry) =>
        isDown ? Promise.reject(new SoftStateUnavailableError('down')) : store.put(entry),
      delete: (...end) => store.delete(...end),
    });
    await pass(0);
    isDown = false;
    await pass(5_000);
    await vi.waitFor(async () => expect(await store.get(KEY)).toBeDefined());
  });
});
