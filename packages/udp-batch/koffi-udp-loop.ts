import { arch } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { type KernelSocket, openKernelSocket } from './kernel-socket.ts';
import type { LinuxSystemCalls } from './linux-system-calls.ts';
import { allocateKernelMemory, type KernelMemory } from './message-headers.ts';
import { ReceiveRing } from './receive-ring.ts';
import { SendQueue } from './send-queue.ts';
import { UdpSocketError } from './udp-errors.ts';
import type {
  OutgoingDatagram,
  UdpCounters,
  UdpHandlers,
  UdpLoop,
  UdpLoopOptions,
  UdpOpenResult,
  UdpSocketOptions,
} from './udp-loop.ts';

/** Ready sockets that one epoll_wait(2) names. */
const MAX_EVENTS = 256;
/** `struct epoll_event` is packed on x86-64 alone. */
const EVENT_BYTES = arch() === 'x64' ? 12 : 16;
const EVENT_DATA_OFFSET = arch() === 'x64' ? 4 : 8;
const EPOLL_CLOEXEC = 0x80000;
const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;
/** eventfd(2): EFD_NONBLOCK | EFD_CLOEXEC. */
const EVENTFD_FLAGS = 0x80800;
/** Longest wait: a thread that sits in a system call can be neither terminated nor told of a lost wake-up. */
const MAX_WAIT_MS = 1_000;
/** In place of a socket's handle: somebody posted. */
const WAKE_UP = 0xffffffff;

/** What a loop is given by the worker it runs in. */
export interface KoffiUdpLoopHost {
  readonly post: (message: unknown) => void;
  /** Takes the next message that was posted to the loop, or gives undefined; 'stop' ends the loop. */
  readonly take: () => { readonly message: unknown } | 'stop' | undefined;
}

/** A loop that blocks its thread: epoll_wait, recvmmsg, the handlers, sendmmsg. */
export class KoffiUdpLoop implements UdpLoop {
  readonly adapter = 'koffi';
  /** Written to (8 bytes) by whoever posted to the loop; who reads `take` again after that misses nothing. */
  readonly wakeFd: number;
  readonly #calls: LinuxSystemCalls;
  readonly #host: KoffiUdpLoopHost;
  readonly #epoll: number;
  readonly #events: KernelMemory;
  readonly #eventView: DataView;
  readonly #watched: KernelMemory;
  readonly #ring: ReceiveRing;
  readonly #queue: SendQueue;
  readonly #receiveOffload: boolean;
  readonly #sockets: (KernelSocket | undefined)[] = [];
  readonly #freeHandles: number[] = [];
  #completions: (() => void)[] = [];
  #wakeAtMs = Infinity;
  #received = 0;
  #oversized = 0;
  #unsent = 0;

  constructor(calls: LinuxSystemCalls, options: Required<UdpLoopOptions>, host: KoffiUdpLoopHost) {
    this.#calls = calls;
    this.#host = host;
    this.#receiveOffload = options.receiveOffload;
    this.#ring = new ReceiveRing(calls, options);
    this.#queue = new SendQueue(calls, this.#ring);
    this.#events = allocateKernelMemory(calls, MAX_EVENTS * EVENT_BYTES);
    this.#eventView = new DataView(this.#events.bytes.buffer);
    this.#watched = allocateKernelMemory(calls, EVENT_BYTES);
    this.#epoll = this.#succeed(calls.epollCreate(EPOLL_CLOEXEC), 'epoll');
    this.wakeFd = this.#succeed(calls.eventfd(0, EVENTFD_FLAGS), 'eventfd');
    this.#watch(this.wakeFd, WAKE_UP);
  }

  get counters(): UdpCounters {
    const { sent, unsent } = this.#queue;
    return {
      received: this.#received,
      oversized: this.#oversized,
      sent,
      unsent: this.#unsent + unsent,
    };
  }

  open(options: UdpSocketOptions, done: (result: UdpOpenResult) => void): void {
    const result = this.#open(options);
    this.#completions.push(() => done(result));
  }

  close(socket: number): void {
    const closing = this.#sockets[socket];
    if (closing === undefined) return;
    this.#queue.flush();
    this.#sockets[socket] = undefined;
    this.#freeHandles.push(socket);
    this.#calls.close(closing.fd);
  }

  send(datagram: OutgoingDatagram): void {
    const socket = this.#sockets[datagram.socket];
    if (socket === undefined) this.#unsent += 1;
    else this.#queue.push(socket.fd, datagram);
  }

  wakeAt(atMs: number): void {
    this.#wakeAtMs = atMs;
  }

  nowMs(): number {
    return performance.now();
  }

  post(message: unknown): void {
    this.#host.post(message);
  }

  /**
   * Runs until it is told to stop, then closes every socket. The wake-up descriptor stays open: whoever posts closes it
   * when it will post no more.
   */
  run(handlers: UdpHandlers): void {
    try {
      this.#settle();
      let isRunning = this.#takeMessages(handlers);
      while (isRunning) isRunning = this.#round(handlers);
    } finally {
      this.#queue.flush();
      for (const socket of this.#sockets) if (socket !== undefined) this.#calls.close(socket.fd);
      this.#calls.close(this.#epoll);
    }
  }

  #round(handlers: UdpHandlers): boolean {
    const ready = this.#calls.epollWait(
      this.#epoll,
      this.#events.address,
      MAX_EVENTS,
      this.#waitMs(),
    );
    const nowMs = performance.now();
    let isWoken = false;
    for (let index = 0; index < ready; index += 1) {
      const handle = this.#eventView.getUint32(index * EVENT_BYTES + EVENT_DATA_OFFSET, true);
      if (handle === WAKE_UP) isWoken = true;
      else this.#receive(handle, handlers, nowMs);
    }
    if (this.#wakeAtMs <= nowMs) {
      this.#wakeAtMs = Infinity;
      handlers.onDeadline(nowMs);
      this.#settle();
    }
    if (isWoken) this.#calls.read(this.wakeFd, this.#events.address, 8);
    return isWoken || ready <= 0 ? this.#takeMessages(handlers) : true;
  }

  #waitMs(): number {
    if (this.#wakeAtMs === Infinity) return MAX_WAIT_MS;
    const leftMs = Math.ceil(this.#wakeAtMs - performance.now());
    return Math.min(Math.max(leftMs, 0), MAX_WAIT_MS);
  }

  #receive(handle: number, handlers: UdpHandlers, nowMs: number): void {
    const socket = this.#sockets[handle];
    // Closed by a handler of this round.
    if (socket === undefined) return;
    const hasSome = this.#ring.receive(socket.fd, handle);
    this.#oversized += this.#ring.oversized;
    if (!hasSome) return;
    this.#received += this.#ring.datagrams;
    handlers.onBatch(this.#ring, nowMs);
    this.#settle();
  }

  /** False when told to stop. */
  #takeMessages(handlers: UdpHandlers): boolean {
    for (let taken = this.#host.take(); taken !== undefined; taken = this.#host.take()) {
      if (taken === 'stop') return false;
      handlers.onMessage(taken.message, performance.now());
      this.#settle();
    }
    return true;
  }

  /** What is due when a handler has returned. */
  #settle(): void {
    while (this.#completions.length > 0) {
      const completions = this.#completions;
      this.#completions = [];
      for (const complete of completions) complete();
    }
    this.#queue.flush();
  }

  #open(options: UdpSocketOptions): UdpOpenResult {
    const receiveOffload = this.#receiveOffload;
    try {
      const socket = openKernelSocket(this.#calls, { ...options, receiveOffload });
      const handle = this.#freeHandles.pop() ?? this.#sockets.length;
      this.#sockets[handle] = socket;
      try {
        this.#watch(socket.fd, handle);
      } catch (error) {
        this.close(handle);
        throw error;
      }
      return { socket: handle, port: socket.port };
    } catch (error) {
      if (error instanceof UdpSocketError) return { error };
      throw error;
    }
  }

  #watch(fd: number, data: number): void {
    const event = new DataView(this.#watched.bytes.buffer);
    event.setUint32(0, EPOLLIN, true);
    event.setUint32(EVENT_DATA_OFFSET, data, true);
    this.#succeed(
      this.#calls.epollControl(this.#epoll, EPOLL_CTL_ADD, fd, this.#watched.address),
      'epoll',
    );
  }

  #succeed(result: number, what: string): number {
    if (result >= 0) return result;
    throw new UdpSocketError(getSystemErrorName(-this.#calls.errno()), what);
  }
}
