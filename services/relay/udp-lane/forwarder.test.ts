import { encodeRegistration, RelayRegistrationKey } from '@nexodus/relay-registration';
import {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
} from '@nexodus/socket-address';
import { parseIpAddress } from '@nexodus/netip';
import type { OutgoingDatagram, ReceivedBatch, UdpLoop } from '@nexodus/udp-batch';
import { beforeEach, describe, expect, test } from 'vitest';
import { Admission } from '../core/admission.ts';
import { defaultAdmissionLimits } from '../core/admission-limits.ts';
import { SessionTable } from '../core/session-table.ts';
import { DatagramCounts } from './datagram-counts.ts';
import { Forwarder } from './forwarder.ts';
import { createLaneSession, type LaneSession } from './lane-session.ts';

const alpha = { address: parseIpAddress('192.0.2.1'), port: 1_111 };
const beta = { address: parseIpAddress('2001:db8::2'), port: 2_222 };
const stranger = { address: parseIpAddress('203.0.113.9'), port: 9 };
/** Handles of the sockets by side and family. */
const sockets = [
  { ipv4: 10, ipv6: 11 },
  { ipv4: 12, ipv6: 13 },
] as const;
const key = RelayRegistrationKey.fromBytes(new Uint8Array(32));

interface Sent {
  readonly socket: number;
  readonly port: number;
  readonly bytes: string;
  readonly segmentBytes: number;
}

/** A loop that only writes down what it is to send. */
class WritingLoop implements UdpLoop {
  readonly adapter = 'koffi';
  readonly counters = { received: 0, oversized: 0, sent: 0, unsent: 0 };
  readonly sent: Sent[] = [];

  send({ socket, to, toOffset, bytes, offset, length, segmentBytes }: OutgoingDatagram): void {
    const { port } = decodeSocketAddress(to, toOffset);
    const text = Buffer.from(bytes.subarray(offset, offset + length)).toString('hex');
    this.sent.push({ socket, port, bytes: text, segmentBytes });
  }

  open(): void {}
  close(): void {}
  wakeAt(): void {}
  post(): void {}
  nowMs(): number {
    return 0;
  }
}

let loop: WritingLoop;
let counts: DatagramCounts;
let session: LaneSession;
let forwarder: Forwarder;
let table: SessionTable;
beforeEach(() => {
  loop = new WritingLoop();
  counts = new DatagramCounts();
  table = new SessionTable({
    ports: { first: 1, last: 2 },
    sessions: 1,
    tenantShare: 1,
    sessionsPerDevice: 1,
    idleMs: 1_000,
  });
  open(Infinity);
});

function open(quotaBytes: number): void {
  table.close(1n);
  const opened = table.open(
    {
      id: 1n,
      tenant: 't',
      devices: ['a', 'b'],
      quotaBytes,
      rateBytesPerSecond: Infinity,
      notAfterMs: Infinity,
    },
    0,
  );
  if (typeof opened === 'string') throw new Error(opened);
  const device = { mac1State: new Uint8Array(), registrationKey: key };
  const admission = new Admission({
    sessionId: 1n,
    devices: [device, device],
    verifyMac1: () => true,
    limits: defaultAdmissionLimits,
  });
  session = createLaneSession(opened, admission);
  session.sockets = sockets;
  forwarder = new Forwarder({ loop, table, counts, onEvent: () => {} });
  for (const side of [0, 1] as const) {
    for (const handle of Object.values(sockets[side])) forwarder.assign(handle, { session, side });
  }
  arrive(10, alpha, registration(0, alpha));
  arrive(13, beta, registration(1, beta));
  loop.sent.length = 0;
}

const registration = (side: 0 | 1, observed: typeof alpha): Uint8Array =>
  encodeRegistration({ sessionId: 1n, side, timestamp: 1n, observed }, key);

/** Lets bytes arrive in the middle of an arena. */
function arrive(socket: number, from: typeof alpha, bytes: Uint8Array, segmentBytes = 0): void {
  const arena = new Uint8Array(4_096).fill(0xee);
  arena.set(bytes, 100);
  const addresses = new Uint8Array(2 * SOCKET_ADDRESS_BYTES);
  encodeSocketAddress(addresses, 0, from);
  const batch: ReceivedBatch = {
    socket,
    count: 1,
    bytes: arena,
    view: new DataView(arena.buffer),
    offsets: Uint32Array.of(100),
    lengths: Uint32Array.of(bytes.length),
    segmentBytes: Uint32Array.of(segmentBytes),
    addresses,
    addressView: new DataView(addresses.buffer),
  };
  forwarder.forward(batch, 0);
}

/** Messages one after the other; each is its type, its length and then what tells it apart. */
function messages(...parts: readonly (readonly [type: number, length: number])[]): Uint8Array {
  return Buffer.concat(
    parts.map(([type, length], index) => {
      const bytes = new Uint8Array(length);
      bytes[0] = type;
      bytes[20] = index;
      return bytes;
    }),
  );
}

describe('an aggregate', () => {
  test('of nothing but data travels on as it is', () => {
    const bytes = messages([4, 96], [4, 96], [4, 40]);
    arrive(10, alpha, bytes, 96);
    expect(loop.sent).toEqual([
      { socket: 13, port: 2_222, bytes: Buffer.from(bytes).toString('hex'), segmentBytes: 96 },
    ]);
    expect(counts.snapshot(0).forwarded).toBe(3);
    expect(session.session.carriedBytes).toEqual([232, 0]);
  });

  test('with a handshake at its end is taken apart', () => {
    arrive(10, alpha, messages([4, 160], [4, 160], [1, 148]), 160);
    expect(loop.sent.map(({ bytes }) => bytes.length / 2)).toEqual([160, 160, 148]);
    expect(loop.sent.every(({ segmentBytes, socket }) => segmentBytes === 0 && socket === 13)).toBe(
      true,
    );
  });

  test('with a registration at its end is taken apart, and that is answered from its own socket', () => {
    const bytes = Buffer.concat([
      messages([4, 64]),
      encodeRegistration({ sessionId: 1n, side: 0, timestamp: 2n, observed: alpha }, key),
    ]);
    arrive(10, alpha, bytes, 64);
    expect(
      loop.sent.map(({ socket, port, bytes: text }) => [socket, port, text.length / 2]),
    ).toEqual([
      [13, 2_222, 64],
      [10, 1_111, 31],
    ]);
  });

  test('whose end is too short for data loses only its end', () => {
    arrive(10, alpha, messages([4, 64], [4, 31]), 64);
    expect(loop.sent).toHaveLength(1);
    expect(counts.snapshot(0)).toMatchObject({ forwarded: 1, 'not-wireguard': 1 });
  });

  test('of a stranger is dropped and counted by its datagrams', () => {
    arrive(10, stranger, messages([4, 64], [4, 64], [4, 64]), 64);
    expect(loop.sent).toEqual([]);
    expect(counts.snapshot(0)['unknown-source']).toBe(3);
  });
});

test('what arrives leaves by the socket of its destination’s family, to the other side', () => {
  arrive(13, beta, messages([4, 64]));
  expect(loop.sent).toMatchObject([{ socket: 10, port: 1_111 }]);
});

test('a session that has used up its quota sends nothing more', () => {
  open(150);
  for (let count = 0; count < 4; count += 1) arrive(10, alpha, messages([4, 64]));
  expect(loop.sent).toHaveLength(3);
  expect(counts.snapshot(7)).toMatchObject({ limit: 1, unsent: 7 });
});

test('what arrives at a socket of no session, and nothing at all, are passed over', () => {
  forwarder.assign(10, undefined);
  arrive(10, alpha, messages([4, 64]));
  arrive(99, alpha, messages([4, 64]));
  arrive(13, beta, new Uint8Array());
  expect(loop.sent).toEqual([]);
});
