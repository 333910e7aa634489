/**
 * Many UDP sockets in one synchronous loop.
 *
 * A program (a lane of a relay, a STUN server) runs in a worker thread of its own and is called with batches of
 * datagrams, with messages of the thread that started it, and when its deadline is reached. What it sends while it is
 * called leaves when the call returns, in the order in which it was queued. Nothing is allocated for a datagram: a batch
 * is a view into one receive arena, and what a program sends may be the very bytes it received.
 *
 * UDP promises nothing, so neither does this: what the system does not take at once (full buffers, no route, too large
 * for the path) is counted as unsent and forgotten; no datagram and no error of the network ends the loop.
 */
import type { UdpSocketError } from './udp-errors.ts';

/** Adapters: `koffi` makes batched system calls on Linux, `dgram` is Node's own and works everywhere. */
export type UdpAdapter = 'koffi' | 'dgram';

/** The form of a loop. */
export interface UdpLoopOptions {
  /** Datagrams received at most by one system call, 1 to 1,024. Default 64. */
  readonly batchSize?: number;
  /**
   * Largest datagram that is received, in bytes; larger ones are dropped and counted. Default 2,048. With
   * `receiveOffload` it is 65,535.
   */
  readonly datagramBytes?: number;
  /**
   * Lets the kernel hand over datagrams of one sender as one (UDP_GRO): see `ReceivedBatch.segmentBytes`. Costs 64 KiB of
   * arena for each datagram of a batch. An adapter without it hands over single datagrams. Default false.
   */
  readonly receiveOffload?: boolean;
}

/** A socket to open. */
export interface UdpSocketOptions {
  /** An address of this machine or a wildcard, IPv4 or IPv6; an IPv6 socket takes no IPv4. */
  readonly address: string;
  /** Port; 0 lets the system choose. */
  readonly port: number;
  /** Lets sockets of other workers have the same address and port; the system spreads senders over them. Default false. */
  readonly reusePort?: boolean;
  /** Wanted receive buffer in bytes; the system may give less. Default: the system's. */
  readonly receiveBufferBytes?: number;
  /** Wanted send buffer in bytes; the system may give less. Default: the system's. */
  readonly sendBufferBytes?: number;
}

/** What became of an `open`: a handle and the port that the socket has, or the reason why there is none. */
export type UdpOpenResult =
  | { readonly socket: number; readonly port: number }
  | { readonly error: UdpSocketError };

/**
 * Datagrams that arrived at one socket, in the order of their arrival. The object and its arrays are the loop's and are
 * used again for the next batch: a program keeps nothing of them. It may overwrite the bytes of each datagram, up to
 * `datagramBytes` from its offset, for instance to answer in place.
 */
export interface ReceivedBatch {
  /** Handle of the socket. */
  readonly socket: number;
  /** Number of datagrams, at least 1. */
  readonly count: number;
  /** Arena that holds them. */
  readonly bytes: Uint8Array;
  /** The same bytes. */
  readonly view: DataView;
  /** Where each begins in `bytes`. */
  readonly offsets: Uint32Array;
  /** How long each is, in bytes. May be 0. */
  readonly lengths: Uint32Array;
  /** Where not 0, the bytes are several datagrams of this size each; the last may be shorter. */
  readonly segmentBytes: Uint32Array;
  /** Source of each, as a raw socket address at its index times SOCKET_ADDRESS_BYTES. */
  readonly addresses: Uint8Array;
  /** The same bytes. */
  readonly addressView: DataView;
}

/**
 * A datagram to send. The caller keeps one such object and fills it anew for each; the loop has taken what it needs when
 * `send` returns, but bytes of the receive arena are sent in place when the handler returns: until then they stay as
 * they are.
 */
export interface OutgoingDatagram {
  /** Handle of the socket to send from. */
  socket: number;
  /** Holds the raw socket address of the destination; its family is the socket's. `ReceivedBatch.addresses` will do. */
  to: Uint8Array;
  /** Where in `to` it begins. */
  toOffset: number;
  /** Holds the bytes: `ReceivedBatch.bytes` (not copied) or any other array (copied). */
  bytes: Uint8Array;
  /** Where in `bytes` they begin. */
  offset: number;
  /** Number of bytes. */
  length: number;
  /** Where not 0, the bytes leave as several datagrams of this size (UDP_SEGMENT); the last may be shorter. */
  segmentBytes: number;
}

/** What a loop counted since its start. Aggregates count as their datagrams. */
export interface UdpCounters {
  /** Handed to the program. */
  readonly received: number;
  /** Larger than the arena's place for one, dropped. */
  readonly oversized: number;
  /** Taken by the system for sending. */
  readonly sent: number;
  /** Not sent, for whatever reason. */
  readonly unsent: number;
}

/** What a program may do. Only called by the program, from its handlers or while it is made. */
export interface UdpLoop {
  readonly adapter: UdpAdapter;
  readonly counters: UdpCounters;
  /**
   * Opens a socket. `done` is called after `open` has returned, never inside of it; datagrams may arrive as soon as it
   * was called with a handle. Handles are small whole numbers, and used again after `close`.
   */
  open(options: UdpSocketOptions, done: (result: UdpOpenResult) => void): void;
  /** Sends what is queued, then closes the socket; nothing of it arrives any more. Nothing happens for a closed handle. */
  close(socket: number): void;
  /** Queues a datagram. One for a closed handle or without room anywhere is counted as unsent. */
  send(datagram: OutgoingDatagram): void;
  /** Sets the instant of the next `onDeadline`, replacing the one before; Infinity for none. */
  wakeAt(atMs: number): void;
  /** Now, on a clock that never goes back and is this thread's own. Costs a call: a program gets it with each event. */
  nowMs(): number;
  /** Sends a message (structured clone) to the thread that started the worker. */
  post(message: unknown): void;
}

/** The calls that a program gets, one at a time. One that throws ends the worker, and with it all its sockets. */
export interface UdpHandlers {
  /** Datagrams arrived. */
  onBatch(batch: ReceivedBatch, nowMs: number): void;
  /** A message of the starting thread, in the order of posting. */
  onMessage(message: unknown, nowMs: number): void;
  /** The deadline is reached; none is set now. */
  onDeadline(nowMs: number): void;
}

/** Makes the handlers of a worker out of what `startUdpWorker` was given as `data`. */
export type UdpProgram = (loop: UdpLoop, data: unknown) => UdpHandlers;
