/** A worker that does what the contract suite tells it. */
import { parseIpAddress } from '@nexodus/netip';
import {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
} from '@nexodus/socket-address';
import { formatIpAddress } from '@nexodus/netip';
import { runUdpWorker } from './run-udp-worker.ts';
import type {
  OutgoingDatagram,
  ReceivedBatch,
  UdpHandlers,
  UdpLoop,
  UdpOpenResult,
  UdpSocketOptions,
} from './udp-loop.ts';

/** What the suite tells the program. */
export type Command =
  | { readonly do: 'open'; readonly options: UdpSocketOptions }
  | {
      readonly do: 'send';
      readonly datagrams: readonly CommandedDatagram[];
      readonly thenClose?: number;
    }
  | { readonly do: 'close'; readonly socket: number }
  | { readonly do: 'forward'; readonly from: number; readonly by: number; readonly to: Endpoint }
  | { readonly do: 'echo' }
  | { readonly do: 'wake'; readonly inMs: readonly number[] }
  | { readonly do: 'count' }
  | { readonly do: 'throw' };

/** An address and port. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** A datagram to send. */
export interface CommandedDatagram {
  readonly socket: number;
  readonly to: Endpoint;
  readonly bytes: Uint8Array;
  readonly segmentBytes?: number;
}

/** What the program tells the suite. */
export type Told =
  | { readonly told: 'opened'; readonly result: UdpOpenResult; readonly wasInside: boolean }
  | {
      readonly told: 'received';
      readonly socket: number;
      readonly from: Endpoint;
      readonly text: string;
      readonly segmentBytes: number;
    }
  | { readonly told: 'woken'; readonly earlyMs: number }
  | {
      readonly told: 'counters';
      readonly received: number;
      readonly oversized: number;
      readonly sent: number;
      readonly unsent: number;
    };

class Program implements UdpHandlers {
  readonly #loop: UdpLoop;
  readonly #to = new Uint8Array(SOCKET_ADDRESS_BYTES);
  readonly #outgoing: OutgoingDatagram;
  #forward: Extract<Command, { do: 'forward' }> | undefined;
  #isEcho = false;
  #deadlineAtMs = Infinity;

  constructor(loop: UdpLoop) {
    this.#loop = loop;
    this.#outgoing = {
      socket: -1,
      to: this.#to,
      toOffset: 0,
      bytes: this.#to,
      offset: 0,
      length: 0,
      segmentBytes: 0,
    };
  }

  onBatch(batch: ReceivedBatch): void {
    for (let index = 0; index < batch.count; index += 1) {
      if (this.#isEcho) this.#echo(batch, index);
      else if (this.#forward?.from === batch.socket) this.#forwardOne(batch, index, this.#forward);
      else this.#tellOf(batch, index);
    }
  }

  onMessage(message: unknown): void {
    // The suite posts nothing else.
    const command = message as Command;
    switch (command.do) {
      case 'open':
        return this.#open(command.options);
      case 'send':
        for (const datagram of command.datagrams) this.#send(datagram);
        if (command.thenClose !== undefined) this.#loop.close(command.thenClose);
        return;
      case 'close':
        return this.#loop.close(command.socket);
      case 'forward':
        this.#forward = command;
        return;
      case 'echo':
        this.#isEcho = true;
        return;
      case 'wake':
        for (const inMs of command.inMs) {
          this.#deadlineAtMs = this.#loop.nowMs() + inMs;
          this.#loop.wakeAt(this.#deadlineAtMs);
        }
        return;
      case 'count':
        return this.#tell({ told: 'counters', ...this.#loop.counters });
      case 'throw':
        throw new Error('told to');
    }
  }

  onDeadline(nowMs: number): void {
    this.#tell({ told: 'woken', earlyMs: this.#deadlineAtMs - nowMs });
  }

  #open(options: UdpSocketOptions): void {
    let wasInside = true;
    this.#loop.open(options, (result) => {
      this.#tell({ told: 'opened', result, wasInside });
    });
    wasInside = false;
  }

  #send({ socket, to, bytes, segmentBytes = 0 }: CommandedDatagram): void {
    encodeSocketAddress(this.#to, 0, { address: parseIpAddress(to.address), port: to.port });
    const change = { socket, to: this.#to, toOffset: 0, bytes, offset: 0, length: bytes.length };
    this.#loop.send(Object.assign(this.#outgoing, change, { segmentBytes }));
  }

  #echo(batch: ReceivedBatch, index: number): void {
    this.#loop.send(
      Object.assign(this.#outgoing, {
        socket: batch.socket,
        to: batch.addresses,
        toOffset: index * SOCKET_ADDRESS_BYTES,
        bytes: batch.bytes,
        offset: batch.offsets[index],
        length: batch.lengths[index],
        segmentBytes: batch.segmentBytes[index],
      }),
    );
  }

  #forwardOne(batch: ReceivedBatch, index: number, { by, to }: { by: number; to: Endpoint }): void {
    encodeSocketAddress(this.#to, 0, { address: parseIpAddress(to.address), port: to.port });
    this.#loop.send(
      Object.assign(this.#outgoing, {
        socket: by,
        to: this.#to,
        toOffset: 0,
        bytes: batch.bytes,
        offset: batch.offsets[index],
        length: batch.lengths[index],
        segmentBytes: batch.segmentBytes[index],
      }),
    );
    // What was taken must not change any more.
    this.#to.fill(0);
  }

  #tellOf(batch: ReceivedBatch, index: number): void {
    const offset = batch.offsets[index] ?? 0;
    const { address, port } = decodeSocketAddress(batch.addresses, index * SOCKET_ADDRESS_BYTES);
    this.#tell({
      told: 'received',
      socket: batch.socket,
      from: { address: formatIpAddress(address), port },
      text: Buffer.from(
        batch.bytes.subarray(offset, offset + (batch.lengths[index] ?? 0)),
      ).toString('latin1'),
      segmentBytes: batch.segmentBytes[index] ?? 0,
    });
  }

  #tell(told: Told): void {
    this.#loop.post(told);
  }
}

await runUdpWorker((loop) => new Program(loop));
