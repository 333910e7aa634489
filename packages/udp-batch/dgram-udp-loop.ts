import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { SOCKET_ADDRESS_BYTES } from '@nexodus/socket-address';
import { AddressTexts } from './address-texts.ts';
import { UdpSocketError } from './udp-errors.ts';
import type {
  OutgoingDatagram,
  ReceivedBatch,
  UdpCounters,
  UdpHandlers,
  UdpLoop,
  UdpLoopOptions,
  UdpOpenResult,
  UdpSocketOptions,
} from './udp-loop.ts';

/** Bytes that may wait in one socket before further ones are dropped: a full network must not fill memory. */
const SEND_QUEUE_MAX_BYTES = 1_048_576;

/** Where the one datagram of each batch lies. */
class SingleBatch implements ReceivedBatch {
  socket = -1;
  readonly count = 1;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly offsets = new Uint32Array(1);
  readonly lengths = new Uint32Array(1);
  readonly segmentBytes = new Uint32Array(1);
  readonly addresses = new Uint8Array(SOCKET_ADDRESS_BYTES);
  readonly addressView = new DataView(this.addresses.buffer);

  constructor(datagramBytes: number) {
    this.bytes = new Uint8Array(datagramBytes);
    this.view = new DataView(this.bytes.buffer);
  }
}

/** What leaves when the handler returns. */
interface Outgoing {
  readonly socket: Socket;
  readonly bytes: Buffer;
  readonly address: string;
  readonly port: number;
}

/** A loop on Node's own sockets, driven by events: one datagram at a time, each sent datagram copied. */
export class DgramUdpLoop implements UdpLoop {
  readonly adapter = 'dgram';
  readonly #counters = { received: 0, oversized: 0, sent: 0, unsent: 0 };
  readonly #post: (message: unknown) => void;
  readonly #batch: SingleBatch;
  readonly #sockets: (Socket | undefined)[] = [];
  readonly #freeHandles: number[] = [];
  readonly #closing = new Set<Promise<void>>();
  #handlers: UdpHandlers | undefined;
  readonly #texts = new AddressTexts();
  /** Text of the source of the batch, with the zone that the raw address lacks. */
  #sourceText = '';
  #outgoing: Outgoing[] = [];
  #deadline: NodeJS.Timeout | undefined;
  #fail: (error: unknown) => void = () => {};

  constructor(options: Required<UdpLoopOptions>, post: (message: unknown) => void) {
    this.#batch = new SingleBatch(options.datagramBytes);
    this.#post = post;
  }

  get counters(): UdpCounters {
    return { ...this.#counters };
  }

  open(options: UdpSocketOptions, done: (result: UdpOpenResult) => void): void {
    const socket = createSocket({
      type: isIPv6(options.address) ? 'udp6' : 'udp4',
      ipv6Only: isIPv6(options.address),
      reusePort: options.reusePort ?? false,
      recvBufferSize: options.receiveBufferBytes,
      sendBufferSize: options.sendBufferBytes,
      // Destinations are addresses: nothing to look up, and no turn of the event loop to wait for it.
      lookup: (host, _options, found) => found(null, host, isIPv6(host) ? 6 : 4),
    });
    const refuse = (error: Error): void => {
      this.#track(closed(socket));
      this.#call(() => done({ error: openError(error, options) }));
    };
    socket.once('error', refuse);
    // Not while the caller is inside `open`: binding an address may otherwise be done at once.
    setImmediate(() => {
      socket.bind({ address: options.address, port: options.port, exclusive: true }, () => {
        socket.off('error', refuse);
        const handle = this.#freeHandles.pop() ?? this.#sockets.length;
        this.#sockets[handle] = socket;
        // An error of the network, such as a port that is closed at the other end, is over with this.
        socket.on('error', () => {});
        socket.on('message', (bytes, source) => this.#receive(handle, bytes, source));
        this.#call(() => done({ socket: handle, port: socket.address().port }));
      });
    });
  }

  close(handle: number): void {
    const socket = this.#sockets[handle];
    if (socket === undefined) return;
    this.#flush();
    this.#sockets[handle] = undefined;
    this.#freeHandles.push(handle);
    socket.removeAllListeners('message');
    this.#track(closedWhenSent(socket));
  }

  send(datagram: OutgoingDatagram): void {
    const { length, segmentBytes } = datagram;
    const socket = this.#sockets[datagram.socket];
    const step = segmentBytes > 0 ? segmentBytes : Math.max(length, 1);
    const count = Math.max(Math.ceil(length / step), 1);
    const address = this.#destinationOf(datagram);
    const port =
      (datagram.to[datagram.toOffset + 2] ?? 0) * 256 + (datagram.to[datagram.toOffset + 3] ?? 0);
    if (socket === undefined || address === undefined || port === 0) {
      this.#counters.unsent += count;
      return;
    }
    const bytes = Buffer.from(datagram.bytes.subarray(datagram.offset, datagram.offset + length));
    for (let index = 0; index < count; index += 1) {
      const piece = count === 1 ? bytes : bytes.subarray(index * step, (index + 1) * step);
      this.#outgoing.push({ socket, bytes: piece, address, port });
    }
  }

  wakeAt(atMs: number): void {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
    if (atMs === Infinity) return;
    const waitMs = Math.max(atMs - performance.now(), 0);
    // setTimeout counts in 31 bits.
    this.#deadline = setTimeout(
      () => {
        if (performance.now() < atMs) this.wakeAt(atMs);
        else this.#call((handlers) => handlers.onDeadline(performance.now()));
      },
      Math.min(Math.ceil(waitMs), 0x7fffffff),
    );
  }

  nowMs(): number {
    return performance.now();
  }

  post(message: unknown): void {
    this.#post(message);
  }

  /** Gives the program its events until `stop`; rejects with what a handler threw. */
  async run(handlers: UdpHandlers, stop: Promise<void>): Promise<void> {
    const failed = new Promise<never>((_resolve, reject) => {
      this.#fail = reject;
    });
    this.#handlers = handlers;
    this.#flush();
    try {
      await Promise.race([stop, failed]);
    } finally {
      this.wakeAt(Infinity);
      for (const handle of this.#sockets.keys()) this.close(handle);
      this.#handlers = undefined;
      await Promise.all(this.#closing);
    }
  }

  /** A message of the starting thread. */
  deliver(message: unknown): void {
    this.#call((handlers) => handlers.onMessage(message, performance.now()));
  }

  #receive(handle: number, bytes: Buffer, source: RemoteInfo): void {
    const batch = this.#batch;
    if (bytes.length > batch.bytes.length) {
      this.#counters.oversized += 1;
      return;
    }
    batch.socket = handle;
    batch.bytes.set(bytes);
    batch.lengths[0] = bytes.length;
    this.#sourceText = source.address;
    this.#texts.write(batch.addresses, source.address, source.port);
    this.#counters.received += 1;
    this.#call((handlers) => handlers.onBatch(batch, performance.now()));
  }

  #call(event: (handlers: UdpHandlers) => void): void {
    if (this.#handlers === undefined) return;
    try {
      event(this.#handlers);
    } catch (error) {
      this.#fail(error);
    }
    this.#flush();
  }

  #track(closing: Promise<void>): void {
    this.#closing.add(closing);
    void closing.then(() => this.#closing.delete(closing));
  }

  #destinationOf({ to, toOffset }: OutgoingDatagram): string | undefined {
    return to === this.#batch.addresses ? this.#sourceText : this.#texts.read(to, toOffset);
  }

  #flush(): void {
    if (this.#outgoing.length === 0) return;
    const outgoing = this.#outgoing;
    this.#outgoing = [];
    for (const one of outgoing) this.#sendNow(one);
  }

  #sendNow({ socket, bytes, address, port }: Outgoing): void {
    if (socket.getSendQueueSize() > SEND_QUEUE_MAX_BYTES) this.#counters.unsent += 1;
    else socket.send(bytes, port, address, this.#countSent);
  }

  readonly #countSent = (error: Error | null): void => {
    if (error === null) this.#counters.sent += 1;
    else this.#counters.unsent += 1;
  };
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.close(resolve));
}

/** Node drops what waits in a socket that is closed. */
async function closedWhenSent(socket: Socket): Promise<void> {
  while (socket.getSendQueueCount() > 0) await new Promise((resolve) => setImmediate(resolve));
  await closed(socket);
}

function openError(error: Error, { address, port }: UdpSocketOptions): UdpSocketError {
  const code = 'code' in error ? String(error.code) : error.message;
  return new UdpSocketError(code, `UDP socket on ${address} port ${port}`);
}
