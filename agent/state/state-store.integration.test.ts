import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EndpointKind } from '@nexodus/contracts/type';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { ViewDigest } from '@nexodus/network-map';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Enrolment, KeptView, Pins } from './agent-state.ts';
import { previousOf } from './atomic-file.ts';
import type { DeviceKeys } from './device-keys.ts';
import type { StateError } from './state-error.ts';
import { openStateStore, type StateStore } from './state-store.ts';

const enrolment: Enrolment = {
  serviceUrl: 'https://127.0.0.1:7443',
  caPem: 'PEM',
  deviceId: 'd1',
  organizationId: 'o',
  vpcId: 'v',
  vpcName: 'default',
  hostname: 'a',
  ipv4Address: '100.64.0.1',
  ipv6Address: 'fd00::1',
  expireAtMs: 2_000_000_000_000,
  binding: {
    vpcId: 'v',
    serial: 3n,
    notAfterSeconds: 2_000_000_000,
  },
};
const deviceKey = Ed25519PrivateKey.generate('device').publicKey;
const pins: Pins = new Map([['d2', { deviceId: 'd2', deviceKey, serial: 7n, contentHash: 'ab' }]]);
const entries = new Map([['self', new Uint8Array([1, 2, 3])]]);
const kept: KeptView = {
  view: { vpcId: 'v', logIncarnation: 'l', revision: 9n, entries, digest: ViewDigest.of(entries) },
  lease: { highestServerTimeMs: 5, durationMs: 10, elapsedMs: 1 },
  endpoints: new Map([['d2', [{ address: '192.0.2.1:1', kind: EndpointKind.LOCAL }]]]),
};

let base: string;
let open: StateStore[];

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'nexd-state-'));
  open = [];
});

afterEach(() => {
  for (const store of open) store.close();
  rmSync(base, { recursive: true, force: true });
});

async function openStore(directory = join(base, 'state')): Promise<StateStore> {
  const store = await openStateStore(directory);
  open.push(store);
  return store;
}

async function filled(store: StateStore): Promise<DeviceKeys> {
  const keys = await store.createKeys();
  await store.savePins(keys, new Map());
  await store.saveEnrolment(keys, enrolment);
  await store.savePins(keys, pins);
  await store.saveView(keys, kept);
  return keys;
}

function fault(name: StateError['fault']): unknown {
  return expect.objectContaining({ name: 'StateError', fault: name });
}

test('what is kept is found again, by nobody but the owner', async () => {
  const store = await openStore();
  expect(await store.load()).toBeUndefined();
  const keys = await filled(store);
  const loaded = await store.load();
  expect(loaded?.keys.device.publicKey).toEqual(keys.device.publicKey);
  expect(loaded?.keys.wireGuard.publicKey).toEqual(keys.wireGuard.publicKey);
  expect(loaded?.enrolment).toEqual(enrolment);
  expect(loaded?.pins).toEqual(pins);
  expect(loaded?.kept.lease).toEqual(kept.lease);
  expect(loaded?.kept.endpoints).toEqual(kept.endpoints);
  expect(loaded?.kept.view?.entries).toEqual(entries);
  expect(loaded?.kept.view?.digest.equals(kept.view!.digest.toBytes())).toBe(true);
  expect(loaded?.notices).toEqual([]);
  expect(statSync(store.directory).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(store.directory)) {
    expect([name, statSync(join(store.directory, name)).mode & 0o777]).toEqual([name, 0o600]);
  }
});

test('only the keys are readable; nothing of the rest stands on disk in clear', async () => {
  const store = await openStore();
  await filled(store);
  for (const name of readdirSync(store.directory).filter((file) => file.endsWith('.sealed'))) {
    expect(readFileSync(join(store.directory, name)).includes('127.0.0.1')).toBe(false);
  }
});

test('a state directory has one user at a time', async () => {
  const store = await openStore();
  await expect(openStore()).rejects.toEqual(fault('in-use'));
  store.close();
  await openStore();
});

describe('a half-written file', () => {
  const damages: [string, (path: string) => void][] = [
    ['cut short', (path) => truncateSync(path, 10)],
    ['empty', (path) => truncateSync(path, 0)],
    ['overwritten', (path) => writeFileSync(path, 'garbage')],
    ['gone', (path) => unlinkSync(path)],
  ];

  test.for(damages)('%s: the one before it is taken, and said', async ([, damage]) => {
    const store = await openStore();
    const keys = await filled(store);
    await store.saveEnrolment(keys, { ...enrolment, hostname: 'newer' });
    damage(join(store.directory, 'enrolment.sealed'));
    const loaded = await store.load();
    expect(loaded?.enrolment?.hostname).toBe('a');
    expect(loaded?.notices).toEqual([expect.stringMatching(/the one before it was taken/)]);
  });

  test('of the enrolment without one before it is not passed over', async () => {
    const store = await openStore();
    await filled(store);
    truncateSync(join(store.directory, 'enrolment.sealed'), 20);
    await expect(store.load()).rejects.toEqual(fault('damaged'));
  });

  test('of pins that have only the empty ones of joining before them is not passed over', async () => {
    const store = await openStore();
    await filled(store);
    const path = join(store.directory, 'pins.sealed');
    for (const damage of [() => truncateSync(path, 20), () => unlinkSync(path)]) {
      damage();
      await expect(store.load()).rejects.toEqual(fault('damaged'));
    }
  });

  test('of the view costs nothing but a new snapshot', async () => {
    const store = await openStore();
    await filled(store);
    truncateSync(join(store.directory, 'view.sealed'), 20);
    const loaded = await store.load();
    expect([loaded?.kept, loaded?.enrolment]).toEqual([{}, enrolment]);
    expect(loaded?.notices[0]).toMatch(/send the network map anew/);
  });

  test('of the keys, or none beside sealed state, is never replaced by new keys', async () => {
    const store = await openStore();
    await filled(store);
    const path = join(store.directory, 'keys.json');
    truncateSync(path, 30);
    await expect(store.load()).rejects.toEqual(fault('damaged'));
    unlinkSync(path);
    await expect(store.load()).rejects.toEqual(fault('damaged'));
  });

  test('left by a crash in the middle of a save does not count', async () => {
    const store = await openStore();
    const keys = await filled(store);
    writeFileSync(join(store.directory, 'view.sealed.tmp'), 'half', { mode: 0o600 });
    expect((await store.load())?.kept.view?.revision).toBe(9n);
    await store.saveView(keys, {});
    expect((await store.load())?.kept.view).toBeUndefined();
  });
});

test('a device that joined is refused without its pins, which is no first use', async () => {
  const store = await openStore();
  const keys = await store.createKeys();
  await store.savePins(keys, new Map());
  await store.saveEnrolment(keys, enrolment);
  expect((await store.load())?.pins).toEqual(new Map());
  unlinkSync(join(store.directory, 'pins.sealed'));
  await expect(store.load()).rejects.toMatchObject({
    fault: 'damaged',
    message: expect.stringMatching(/pins\.sealed is missing/),
    remedy: expect.stringMatching(/from a backup, or .*`nexd down --forget`/),
  });
});

test('keys of which nothing came yet need no pins', async () => {
  const store = await openStore();
  await store.createKeys();
  expect(await store.load()).toMatchObject({ enrolment: undefined, pins: new Map() });
});

test('state sealed by another device key is refused', async () => {
  const store = await openStore();
  await filled(store);
  const other = await openStore(join(base, 'other'));
  await filled(other);
  const name = 'enrolment.sealed';
  writeFileSync(join(store.directory, name), readFileSync(join(other.directory, name)));
  await expect(store.load()).rejects.toEqual(fault('damaged'));
});

test('forgetting leaves no key and no state', async () => {
  const store = await openStore();
  const keys = await filled(store);
  await store.saveView(keys, kept);
  expect(readdirSync(store.directory)).toContain(previousOf('view.sealed'));
  for (const name of ['keys.json.tmp', 'pins.sealed.previous.tmp']) {
    writeFileSync(join(store.directory, name), 'half');
  }
  await store.forget();
  expect(readdirSync(store.directory)).toEqual(['nexd.lock']);
});

test('a directory that others use is neither closed to them nor filled with keys', async () => {
  const shared = join(base, 'shared');
  mkdirSync(shared);
  chmodSync(shared, 0o755);
  await expect(openStore(shared)).rejects.toEqual(fault('inaccessible'));
  expect([readdirSync(shared), statSync(shared).mode & 0o777]).toEqual([[], 0o755]);
  writeFileSync(join(shared, 'keys.json'), '');
  await openStore(shared);
  expect(statSync(shared).mode & 0o777).toBe(0o755);
});

test('a directory that cannot be made is said to be inaccessible', async () => {
  writeFileSync(join(base, 'file'), '');
  await expect(openStore(join(base, 'file', 'state'))).rejects.toEqual(fault('inaccessible'));
});

describe('a full disk', () => {
  let mount: string;

  beforeEach(() => {
    mount = mkdtempSync(join(base, 'small-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=0700', 'tmpfs', mount]);
  });

  afterEach(() => {
    for (const store of open) store.close();
    execFileSync('umount', [mount]);
  });

  test('is named, and nothing that was kept is lost', async () => {
    const store = await openStore(join(mount, 'state'));
    const keys = await filled(store);
    const page = 4096;
    const filler = join(mount, 'filler');
    expect(() => writeFileSync(filler, Buffer.alloc(64 * page))).toThrow(/ENOSPC/);
    const large = { ...enrolment, caPem: 'x'.repeat(2 * page) };
    await expect(store.saveEnrolment(keys, large)).rejects.toEqual(fault('disk-full'));
    expect(readdirSync(store.directory).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect((await store.load())?.enrolment).toEqual(enrolment);
    unlinkSync(filler);
    await store.saveEnrolment(keys, large);
    expect((await store.load())?.enrolment).toEqual(large);
  });
});
