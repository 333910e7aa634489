import { parseIpAddress } from '@nexodus/netip';
import { RelayRegistrationKey, encodeRegistration } from '@nexodus/relay-registration';
import { encodeSocketAddress, SOCKET_ADDRESS_BYTES } from '@nexodus/socket-address';
import { beforeEach, describe, expect, test } from 'vitest';
import { Admission } from '../core/admission.ts';
import { defaultAdmissionLimits } from '../core/admission-limits.ts';
import { SessionTable } from '../core/session-table.ts';
import { createLaneSession, type LaneSession } from './lane-session.ts';
import type { Flow } from './offload/flow-elements.ts';
import type { DirectionCount, KernelOffload } from './offload/kernel-offload.ts';
import { OffloadKeeper } from './offload-keeper.ts';

/** A kernel that carries what the test says it carries. */
class ScriptedKernel implements KernelOffload {
  reasons: KernelOffload['reasons'] = { ipv4: undefined, ipv6: undefined };
  readonly flows = new Map<bigint, Flow>();
  readonly counts = new Map<bigint, [DirectionCount, DirectionCount]>();
  refuses = false;
  narrow: number[] = [];
  reads = 0;

  update(sessionId: bigint, flow: Flow | undefined): boolean {
    this.flows.delete(sessionId);
    this.counts.delete(sessionId);
    if (this.refuses && flow?.isOffloaded) return false;
    if (flow !== undefined) this.flows.set(sessionId, flow);
    return true;
  }

  counters(flow: Flow) {
    this.reads += 1;
    const [id = 0n] = [...this.flows].find(([, known]) => known === flow) ?? [];
    return this.counts.get(id) ?? [nothing, nothing];
  }

  narrowPorts(): number[] {
    return this.narrow;
  }
}

const nothing: DirectionCount = { arrived: { packets: 0, bytes: 0 }, departed: { packets: 0 } };
const counted = (packets: number, bytes: number, departed = packets): DirectionCount => ({
  arrived: { packets, bytes },
  departed: { packets: departed },
});

let kernel: ScriptedKernel;
let table: SessionTable;
let keeper: OffloadKeeper;
let failures: string[];
beforeEach(() => {
  kernel = new ScriptedKernel();
  table = new SessionTable({
    ports: { first: 20_000, last: 20_999 },
    sessions: Infinity,
    tenantShare: 1,
    sessionsPerDevice: 1_000,
    idleMs: 60_000,
  });
  failures = [];
  keeper = new OffloadKeeper({
    offload: kernel,
    table,
    addresses: [parseIpAddress('203.0.113.1')],
    onFailed: (reason) => failures.push(reason),
  });
});

const key = RelayRegistrationKey.fromBytes(new Uint8Array(32));

/** A session whose sides are locked to the addresses given. */
function session(id: bigint, homes: readonly (string | undefined)[]): LaneSession {
  const opened = table.open(
    {
      id,
      tenant: 't',
      devices: [`a${id}`, `b${id}`],
      quotaBytes: Infinity,
      rateBytesPerSecond: Infinity,
      notAfterMs: Infinity,
    },
    0,
  );
  if (typeof opened === 'string') throw new Error(opened);
  const device = { mac1State: new Uint8Array(), registrationKey: key };
  const admission = new Admission({
    sessionId: id,
    devices: [device, device],
    verifyMac1: () => false,
    limits: defaultAdmissionLimits,
  });
  for (const side of [0, 1] as const) {
    const address = homes[side];
    if (address === undefined) continue;
    const observed = { address: parseIpAddress(address), port: 1_000 };
    const bytes = encodeRegistration({ sessionId: id, side, timestamp: 1n, observed }, key);
    const source = { bytes: new Uint8Array(SOCKET_ADDRESS_BYTES), offset: 0 };
    encodeSocketAddress(source.bytes, 0, observed);
    admission.admit({ bytes, offset: 0, length: bytes.length, side, source }, 0);
  }
  return createLaneSession(opened, admission);
}

describe('what the kernel carries', () => {
  test.each([
    ['both sides in one family', '192.0.2.1', '198.51.100.2', 'kernel'],
    ['both sides in the other', '2001:db8::1', '2001:db8::2', 'kernel'],
    ['two families', '192.0.2.1', '2001:db8::2', 'families'],
    ['a side that is not locked', '192.0.2.1', undefined, 'nobody'],
    ['a device on the relay itself', '192.0.2.1', '203.0.113.1', 'refused'],
    ['a device on its loopback', '127.0.0.1', '192.0.2.1', 'refused'],
    ['a device on its link', 'fe80::1', '2001:db8::2', 'refused'],
  ])('%s', (_what, first, second, carriage) => {
    const one = session(1n, [first, second]);
    keeper.update(one, 0);
    expect(one.carriage).toBe(carriage);
    expect(kernel.flows.get(1n)?.isOffloaded).toBe(carriage === 'kernel');
  });

  test('is nothing of a family that this machine cannot forward', () => {
    kernel.reasons = { ipv4: undefined, ipv6: 'no' };
    const [four, six] = [
      session(1n, ['192.0.2.1', '192.0.2.2']),
      session(2n, ['2001:db8::1', '2001:db8::2']),
    ];
    keeper.update(four, 0);
    keeper.update(six, 0);
    expect([four.carriage, six.carriage]).toEqual(['kernel', 'offload']);
  });

  test('is not what it refuses', () => {
    kernel.refuses = true;
    const one = session(1n, ['192.0.2.1', '192.0.2.2']);
    keeper.update(one, 0);
    expect(one.carriage).toBe('refused');
    expect(keeper.nextPollAtMs).toBe(Infinity);
  });
});

describe('what it carried', () => {
  test('is counted once, without headers, and keeps the session and its locks alive', () => {
    const one = session(1n, ['192.0.2.1', '192.0.2.2']);
    keeper.update(one, 0);
    kernel.counts.set(1n, [counted(2, 2_056), counted(1, 128)]);
    keeper.poll(keeper.nextPollAtMs);
    keeper.poll(1_000);
    expect(one.session.carriedBytes).toEqual([2_000, 100]);
    expect(one.session.heardAtMs).toBeGreaterThan(0);
    kernel.counts.set(1n, [counted(3, 3_084), counted(1, 128)]);
    keeper.remove(one, 1_500);
    expect(one.session.carriedBytes).toEqual([3_000, 100]);
    expect(keeper.carriedBytes).toBe(3_100);
    expect(kernel.flows.size).toBe(0);
  });

  test('before a side moved is counted with what it carries after it', () => {
    const one = session(1n, ['192.0.2.1', '192.0.2.2']);
    keeper.update(one, 0);
    kernel.counts.set(1n, [counted(1, 1_028), counted(0, 0)]);
    keeper.update(one, 10);
    kernel.counts.set(1n, [counted(1, 528), counted(0, 0)]);
    keeper.remove(one, 20);
    expect(one.session.carriedBytes).toEqual([1_500, 0]);
  });
});

describe('a flow', () => {
  test('whose packets arrive and do not leave goes back to the sockets at once', () => {
    const one = session(1n, ['192.0.2.1', '192.0.2.2']);
    keeper.update(one, 0);
    kernel.counts.set(1n, [counted(3, 300, 0), counted(0, 0)]);
    expect(keeper.nextPollAtMs).toBeLessThanOrEqual(100);
    keeper.poll(100);
    expect(one.carriage).toBe('refused');
    expect(kernel.flows.get(1n)?.isOffloaded).toBe(false);
    one.failure = undefined;
    keeper.update(one, 200);
    expect(one.carriage).toBe('kernel');
  });

  test('that is too narrow goes back to the sockets', () => {
    const [one, other] = [
      session(1n, ['2001:db8::1', '2001:db8::2']),
      session(2n, ['2001:db8::1', '2001:db8::3']),
    ];
    keeper.update(one, 0);
    keeper.update(other, 0);
    kernel.narrow = [one.session.ports[1]];
    keeper.poll(1_000);
    expect([one.carriage, other.carriage]).toEqual(['narrow', 'kernel']);
  });
});

test('a flow that stops to leave after a while goes back, one that loses a little does not', () => {
  const one = session(1n, ['192.0.2.1', '192.0.2.2']);
  keeper.update(one, 0);
  for (const [second, arrived, departed] of [
    [1, 1_000, 1_001],
    [2, 2_000, 1_990],
    [3, 2_001, 1_991],
    [4, 2_001, 1_991],
  ] as const) {
    kernel.counts.set(1n, [counted(arrived, arrived * 100, departed), nothing]);
    keeper.poll(second * 1_000);
    expect(one.carriage).toBe('kernel');
  }
  kernel.counts.set(1n, [counted(2_011, 201_100, 1_991), nothing]);
  keeper.poll(5_000);
  expect(one.carriage).toBe('refused');
});

test('three flows in a row that fail end the offload for a while, one that works between them does not', () => {
  const flows = [1n, 2n, 3n, 4n, 5n, 6n].map((id) => session(id, ['192.0.2.1', '192.0.2.2']));
  const fail = (one: LaneSession, nowMs: number): void => {
    keeper.update(one, nowMs);
    kernel.counts.set(one.session.id, [counted(1, 100, 0), nothing]);
    keeper.poll(nowMs + 100);
  };
  const [first, second, good, third, fourth, fifth] = flows as [
    ...[LaneSession, LaneSession, LaneSession, LaneSession, LaneSession, LaneSession],
  ];
  fail(first, 0);
  fail(second, 200);
  keeper.update(good, 400);
  kernel.counts.set(good.session.id, [counted(1, 100), nothing]);
  keeper.poll(500);
  fail(third, 600);
  fail(fourth, 800);
  expect(failures).toEqual([]);
  kernel.counts.delete(good.session.id);
  fail(fifth, 1_000);
  expect(failures).toHaveLength(1);
  expect(good.carriage).toBe('offload');
  const later = session(7n, ['192.0.2.1', '192.0.2.2']);
  keeper.update(later, 300_000);
  expect(later.carriage).toBe('offload');
  keeper.update(later, 700_000);
  expect(later.carriage).toBe('kernel');
});

test('many flows take turns, a few at a time, and all had one within 20 s', () => {
  for (let id = 1n; id <= 400n; id += 1n) {
    keeper.update(session(id, ['192.0.2.1', '192.0.2.2']), 0);
  }
  for (const id of kernel.flows.keys()) kernel.counts.set(id, [counted(1, 100), nothing]);
  let nowMs = 0;
  while (keeper.carriedBytes < 400 * 72 && nowMs < 60_000) {
    nowMs = keeper.nextPollAtMs;
    const before = kernel.reads;
    keeper.poll(nowMs);
    expect(kernel.reads - before).toBeLessThanOrEqual(40);
  }
  expect(nowMs).toBeLessThanOrEqual(20_000);
});
