import { parseIpAddress } from '@nexodus/netip';
import { encodeSocketAddress, SOCKET_ADDRESS_BYTES } from '@nexodus/socket-address';
import { describe, expect, test } from 'vitest';
import type { LinuxSystemCalls } from './linux-system-calls.ts';
import { ReceiveRing } from './receive-ring.ts';
import { SendQueue } from './send-queue.ts';

const EIO = 5;
const EAGAIN = 11;
const ENOBUFS = 105;

/**
 * A kernel that answers sendmmsg from a script: each step says how many datagrams it takes, or why it takes none. Without
 * a step it takes all. What a real one does is in the contract; these errors cannot be had from one at will.
 */
function open(script: ({ takes: number } | { fails: number })[]) {
  const calls: { fd: number; count: number }[] = [];
  let errno = 0;
  const none = (): number => -1;
  const kernel: LinuxSystemCalls = {
    socket: none,
    bind: none,
    getsockname: none,
    setsockopt: none,
    close: none,
    epollCreate: none,
    epollControl: none,
    epollWait: none,
    eventfd: none,
    read: none,
    recvmmsg: none,
    sendmmsg: (fd, _headers, count) => {
      calls.push({ fd, count });
      const step = script.shift() ?? { takes: count };
      if ('takes' in step) return step.takes;
      errno = step.fails;
      return -1;
    },
    errno: () => errno,
    addressOf: () => 0x7f00_0000_0000,
  };
  const form = { batchSize: 1, datagramBytes: 64, receiveOffload: false };
  const queue = new SendQueue(kernel, new ReceiveRing(kernel, form));
  const to = new Uint8Array(SOCKET_ADDRESS_BYTES);
  encodeSocketAddress(to, 0, { address: parseIpAddress('192.0.2.1'), port: 9 });
  const push = (fd: number, length = 10, segmentBytes = 0): void =>
    queue.push(fd, {
      socket: 0,
      to,
      toOffset: 0,
      bytes: new Uint8Array(length),
      offset: 0,
      length,
      segmentBytes,
    });
  return { queue, push, calls };
}

describe('a queue of datagrams', () => {
  test('gives each run of one socket to the kernel at once', () => {
    const { queue, push, calls } = open([]);
    for (const fd of [3, 3, 4, 3]) push(fd);
    queue.flush();
    expect(calls).toEqual([
      { fd: 3, count: 2 },
      { fd: 4, count: 1 },
      { fd: 3, count: 1 },
    ]);
    expect(queue).toMatchObject({ sent: 4, unsent: 0 });
  });

  test('goes on behind what the kernel took', () => {
    const { queue, push, calls } = open([{ takes: 2 }]);
    for (let index = 0; index < 5; index += 1) push(3);
    queue.flush();
    expect(calls.map(({ count }) => count)).toEqual([5, 3]);
    expect(queue).toMatchObject({ sent: 5, unsent: 0 });
  });

  test('drops the rest of a run where the socket is full, and serves the next socket', () => {
    const { queue, push, calls } = open([{ takes: 1 }, { fails: EAGAIN }]);
    for (const fd of [3, 3, 3, 4]) push(fd);
    queue.flush();
    expect(calls.map(({ fd }) => fd)).toEqual([3, 3, 4]);
    expect(queue).toMatchObject({ sent: 2, unsent: 2 });
  });

  test('passes over a datagram for which the device has no buffer', () => {
    const { queue, push } = open([{ fails: ENOBUFS }]);
    for (const fd of [3, 3, 3]) push(fd);
    queue.flush();
    expect(queue).toMatchObject({ sent: 2, unsent: 1 });
  });

  test('sends the datagrams of an aggregate one by one where the device refuses it', () => {
    const { queue, push, calls } = open([{ fails: EIO }, { takes: 1 }, { fails: ENOBUFS }]);
    push(3, 25, 10);
    push(3);
    queue.flush();
    expect(calls.map(({ count }) => count)).toEqual([2, 1, 1, 1, 1]);
    expect(queue).toMatchObject({ sent: 3, unsent: 1 });
  });

  test('counts the datagrams of an aggregate that found no room', () => {
    const { queue, push } = open([{ fails: EAGAIN }]);
    push(3, 25, 10);
    queue.flush();
    expect(queue).toMatchObject({ sent: 0, unsent: 3 });
  });

  test('keeps going when it is empty again', () => {
    const { queue, push, calls } = open([]);
    push(3);
    queue.flush();
    queue.flush();
    push(3);
    queue.flush();
    expect(calls).toHaveLength(2);
  });
});
