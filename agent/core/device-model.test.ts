import type { PeerEntry, SelfEntry } from '@nexodus/contracts/agent';
import { EndpointKind } from '@nexodus/contracts/type';
import { Ed25519PrivateKey, signBinding } from '@nexodus/device-identity';
import { encodePeerEntry, encodeSelfEntry } from '@nexodus/network-map';
import { DiscoPrivateKey, formatX25519PublicKey, WireGuardPrivateKey } from '@nexodus/wireguard';
import { describe, expect, test } from 'vitest';
import { planDevice } from '../dataplane/core/device-plan.ts';
import { createMemory, type DeviceFacts, reduceDevice } from './device-model.ts';

const now = new Date('2026-01-01T00:00:00Z');
const nowSeconds = now.getTime() / 1000;

function bytes(fill: number): Uint8Array {
  return new Uint8Array(32).fill(fill);
}

interface Made {
  entry: PeerEntry;
  key: string;
}

interface PeerWish {
  deviceSeed?: number;
  serial?: bigint;
  notAfterSeconds?: number;
  address?: string;
  vpcId?: string;
  wireGuardSeed?: number;
}

function makePeer(number: number, wish: PeerWish = {}): Made {
  const deviceKey = Ed25519PrivateKey.fromSeed(bytes(wish.deviceSeed ?? number), 'device');
  const wireGuard = WireGuardPrivateKey.fromBytes(bytes(wish.wireGuardSeed ?? 100 + number));
  const disco = DiscoPrivateKey.fromBytes(bytes(200 + number));
  const signed = signBinding(
    {
      deviceId: `d${number}`,
      vpcId: wish.vpcId ?? 'v',
      wireGuardKey: wireGuard.publicKey,
      discoKey: disco.publicKey,
      serial: wish.serial ?? 1n,
      notAfterSeconds: wish.notAfterSeconds ?? nowSeconds + 1000,
    },
    deviceKey,
  );
  const entry: PeerEntry = {
    deviceId: `d${number}`,
    hostname: `host${number}`,
    devicePublicKey: Buffer.from(deviceKey.publicKey),
    binding: {
      deviceId: signed.deviceId,
      vpcId: signed.vpcId,
      wireguardPublicKey: Buffer.from(signed.wireGuardKey),
      discoPublicKey: Buffer.from(signed.discoKey),
      serial: signed.serial,
      notAfter: BigInt(signed.notAfterSeconds),
      signature: Buffer.from(signed.signature),
    },
    ipv4Address: wish.address ?? `100.64.0.${number}`,
    ipv6Address: `fd00::${number}`,
  };
  return { entry, key: formatX25519PublicKey(wireGuard.publicKey) };
}

const self: SelfEntry = {
  deviceId: 'd1',
  vpcId: 'v',
  vpcName: 'default',
  organizationId: 'o',
  hostname: 'host1',
  ipv4Address: '100.64.0.1',
  ipv6Address: 'fd00::1',
  expireTimeSeconds: 0n,
  bindingSerial: 1n,
};

function facts(peers: PeerEntry[], overrides: Partial<DeviceFacts> = {}): DeviceFacts {
  const entries = [encodeSelfEntry(self), ...peers.map(encodePeerEntry)];
  return {
    deviceId: 'd1',
    vpcId: 'v',
    ownWireGuardKey: makePeer(1).key,
    listenPort: 0,
    enrolledAddresses: [],
    entries: new Map(entries.map(({ key, value }) => [key, value])),
    states: new Map(),
    traffic: new Map(),
    onLink: [],
    localAddresses: [],
    withdrawal: undefined,
    now,
    ...overrides,
  };
}

const fresh = createMemory(new Map());

test('peers with a proven binding are in the tunnel, with their own addresses only', () => {
  const [two, three] = [makePeer(2), makePeer(3)];
  const model = reduceDevice(facts([three.entry, two.entry]), fresh);
  expect(model.problem).toBe('');
  expect(model.arePinsChanged).toBe(true);
  const plan = planDevice(model.intent);
  expect(plan.addresses).toEqual(['100.64.0.1/32', 'fd00::1/128']);
  expect(plan.peers.map(({ publicKey, allowedIps }) => [publicKey, allowedIps])).toEqual([
    [two.key, ['100.64.0.2/32', 'fd00::2/128']],
    [three.key, ['100.64.0.3/32', 'fd00::3/128']],
  ]);
  expect(plan.firewall.peerAddresses).toHaveLength(4);
});

test('a binding that a wrong clock makes expired is taken once the clock is right', () => {
  const given = facts([makePeer(2).entry]);
  const wrong = reduceDevice({ ...given, now: new Date(now.getTime() + 2_000_000) }, fresh);
  expect(wrong.problem).toContain('expired');
  expect(reduceDevice(given, wrong.memory).accepted.map(({ deviceId }) => deviceId)).toEqual([
    'd2',
  ]);
});

test('a newcomer never displaces a device that has the address already, whatever its id', () => {
  const held = makePeer(3);
  const first = reduceDevice(facts([held.entry]), fresh);
  const thief = makePeer(2, { address: '100.64.0.3' });
  const both = facts([thief.entry, held.entry]);
  const second = reduceDevice(both, first.memory);
  expect(second.memory.pins.has('d2')).toBe(false);
  const restarted = reduceDevice(both, createMemory(second.memory.pins));
  for (const model of [second, reduceDevice(both, second.memory), restarted]) {
    expect(model.accepted.map(({ deviceId }) => deviceId)).toEqual(['d3']);
  }
  const left = reduceDevice(facts([thief.entry]), second.memory);
  expect(left.accepted.map(({ deviceId }) => deviceId)).toEqual(['d2']);
});

test('unchanged entries are judged from memory, and pins stay', () => {
  const given = facts([makePeer(2).entry]);
  const first = reduceDevice(given, fresh);
  const second = reduceDevice(given, first.memory);
  expect(second.arePinsChanged).toBe(false);
  expect(second.memory.verdicts.get('peer/d2')).toBe(first.memory.verdicts.get('peer/d2'));
  const removed = reduceDevice(facts([]), second.memory);
  expect(removed.accepted).toEqual([]);
  expect(removed.memory.pins.has('d2')).toBe(true);
});

describe('a peer is refused by itself, and the others stay in', () => {
  const cases: [string, PeerEntry, PeerEntry | undefined, RegExp][] = [
    [
      'with a changed device key',
      makePeer(2, { deviceSeed: 9, serial: 2n }).entry,
      makePeer(2).entry,
      /device key changed/,
    ],
    [
      'with a lower serial',
      makePeer(2, { serial: 1n }).entry,
      makePeer(2, { serial: 2n }).entry,
      /older binding/,
    ],
    [
      'with another key under the same serial',
      makePeer(2, { wireGuardSeed: 50 }).entry,
      makePeer(2).entry,
      /two different/,
    ],
    ['of another VPC', makePeer(2, { vpcId: 'w' }).entry, undefined, /another VPC/],
    [
      'with an expired binding',
      makePeer(2, { notAfterSeconds: nowSeconds }).entry,
      undefined,
      /expired/,
    ],
    ['without a binding', { ...makePeer(2).entry, binding: undefined }, undefined, /not published/],
    [
      'with a device key that is none',
      { ...makePeer(2).entry, devicePublicKey: Buffer.alloc(31) },
      undefined,
      /not a key/,
    ],
    [
      'with a loopback address',
      makePeer(2, { address: '127.0.0.1' }).entry,
      undefined,
      /not usable/,
    ],
    [
      'with an IPv6 address for IPv4',
      makePeer(2, { address: 'fd00::9' }).entry,
      undefined,
      /not usable/,
    ],
    [
      "with this device's address",
      makePeer(2, { address: '100.64.0.1' }).entry,
      undefined,
      /key or address/,
    ],
    [
      "with this device's key",
      makePeer(2, { wireGuardSeed: 101 }).entry,
      undefined,
      /key of this device/,
    ],
    [
      'with the address of a peer before it',
      makePeer(4, { address: '100.64.0.3' }).entry,
      undefined,
      /key or address/,
    ],
    ['that is this device itself', makePeer(1).entry, undefined, /itself/],
  ];
  test.for(cases)('%s', ([, bad, before, reason]) => {
    const memory = before === undefined ? fresh : reduceDevice(facts([before]), fresh).memory;
    const model = reduceDevice(facts([makePeer(3).entry, bad]), memory);
    expect(model.accepted.map(({ deviceId }) => deviceId)).toEqual(['d3']);
    expect(model.refused).toEqual([
      { deviceId: bad.deviceId, hostname: bad.hostname, reason: expect.stringMatching(reason) },
    ]);
    planDevice(model.intent);
  });
});

test('a binding that runs out takes the peer out', () => {
  const given = facts([makePeer(2).entry]);
  const { memory } = reduceDevice(given, fresh);
  const later = reduceDevice({ ...given, now: new Date(now.getTime() + 1_000_000) }, memory);
  expect(later.accepted).toEqual([]);
  expect(later.refused[0]?.reason).toMatch(/expired/);
});

test('a refusal is reported to administrators by name, a peer that is on its way in is not', () => {
  const bad = makePeer(2, { vpcId: 'w' }).entry;
  const early = { ...makePeer(3).entry, binding: undefined };
  expect(reduceDevice(facts([bad, early]), fresh).problem).toBe(
    'refused host2: its binding is for another VPC',
  );
});

test.for(['lease-ended', 'device-deleted', 'device-expired'] as const)(
  '%s: the device keeps its addresses and has no peers, and says so',
  (withdrawal) => {
    const model = reduceDevice(facts([makePeer(2).entry], { withdrawal }), fresh);
    expect(model.intent.peers).toEqual([]);
    expect(model.intent.addresses).toHaveLength(2);
    expect(model.problem).toMatch(/all peers were removed/);
  },
);

test('a map that does not describe this device puts no peer in force', () => {
  const other = encodeSelfEntry({ ...self, deviceId: 'd7' });
  const entries = new Map([
    [other.key, other.value],
    ...facts([makePeer(2).entry])
      .entries.entries()
      .filter(([key]) => key !== 'self'),
  ]);
  const model = reduceDevice(facts([], { entries }), fresh);
  expect(model.intent.peers).toEqual([]);
  expect(model.problem).toMatch(/does not describe this device/);
});

test('before the first view there are no peers and no problem', () => {
  const model = reduceDevice(facts([], { entries: new Map() }), fresh);
  expect([model.problem, model.intent.peers]).toEqual(['', []]);
});

test('before the first view the device holds the addresses that it joined with, unless it was removed', () => {
  const joined = { entries: new Map(), enrolledAddresses: ['100.64.0.1', 'fd00::1', 'nonsense'] };
  const { addresses } = reduceDevice(facts([], joined), fresh).intent;
  expect(addresses).toEqual(['100.64.0.1', 'fd00::1']);
  const removed = facts([], { ...joined, withdrawal: 'device-deleted' });
  expect(reduceDevice(removed, fresh).intent.addresses).toEqual([]);
});

test('the endpoint that a peer announces is asked for, and kept over the next reduction', () => {
  const endpoints = [{ address: '192.0.2.7:51820', kind: EndpointKind.LOCAL }];
  const states = new Map([['d2', { isOnline: true, endpoints }]]);
  const given = facts([makePeer(2).entry], { states });
  const first = reduceDevice(given, fresh);
  expect(first.intent.peers[0]?.endpoint).toBe('192.0.2.7:51820');
  const offline = reduceDevice({ ...given, states: new Map() }, first.memory);
  expect(offline.intent.peers[0]?.endpoint).toBe('192.0.2.7:51820');
});
