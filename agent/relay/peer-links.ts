/**
 * Loopback sockets, each of which is one peer's endpoint for the tunnel where packets go by TLS.
 *
 * They are in a thread of their own that takes and gives many datagrams by one system call: the agent's own thread is busy
 * with TLS then, and a system call for each packet would cost more than the encryption.
 */
import { startUdpWorker, type UdpWorker } from '@nexodus/udp-batch';
import type { Datagrams, FromLinks, ToLinks } from './peer-link-messages.ts';

/** What a link does for its peer. */
export interface PeerLinkEvents {
  /** A datagram of the tunnel for the peer. */
  readonly onDatagram: (datagram: Uint8Array) => void;
  /** The socket is gone, without having been closed. */
  readonly onLost: () => void;
}

/** A UDP socket on loopback that is one peer's endpoint for the tunnel. */
export interface PeerLink {
  /** `127.0.0.1:port`, for the tunnel. */
  readonly endpoint: string;
  /** Hands the tunnel a datagram of the peer, at the end of this turn of the event loop: until then it must not change. */
  deliver(datagram: Uint8Array): void;
  /** Idempotent. */
  close(): void;
}

/** The links of an agent. */
export interface PeerLinks {
  /**
   * Opens a link. Only datagrams from the tunnel's own port on loopback are taken: whoever else on this machine sends to
   * the socket is not heard.
   *
   * @throws Error where no socket can be had
   */
  open(events: PeerLinkEvents): Promise<PeerLink>;
  /** Closes all. Safe to call again. */
  close(): Promise<void>;
}

/** Told together: a message to the thread costs more than most datagrams. */
const TAKEN_TOGETHER_BYTES = 256 * 1024;

/** Makes the links; their thread starts with the first. `tunnelPort` gives the UDP port of the tunnel; 0: none yet. */
export function createPeerLinks(tunnelPort: () => number): PeerLinks {
  return new ThreadPeerLinks(tunnelPort);
}

class ThreadPeerLinks implements PeerLinks {
  readonly #tunnelPort: () => number;
  readonly #links = new Map<number, ThreadPeerLink>();
  #worker: Promise<UdpWorker> | undefined;
  #running: UdpWorker | undefined;
  #lastLink = 0;
  #takenBytes = 0;

  constructor(tunnelPort: () => number) {
    this.#tunnelPort = tunnelPort;
  }

  async open(events: PeerLinkEvents): Promise<PeerLink> {
    this.#worker ??= this.#start();
    const starting = this.#worker;
    const worker = await starting.catch((error: unknown) => {
      if (this.#worker === starting) this.#worker = undefined;
      throw error;
    });
    this.#running = worker;
    this.#lastLink += 1;
    const id = this.#lastLink;
    const link = new ThreadPeerLink(events, {
      tunnelPort: this.#tunnelPort,
      post: (message) => worker.post({ ...message, link: id } satisfies ToLinks),
      forget: () => void this.#links.delete(id),
    });
    this.#links.set(id, link);
    worker.post({ kind: 'open', link: id } satisfies ToLinks);
    await link.opened;
    return link;
  }

  async close(): Promise<void> {
    const starting = this.#worker;
    this.#worker = undefined;
    this.#running = undefined;
    for (const link of this.#links.values()) link.close();
    await (await starting?.catch(() => undefined))?.stop();
  }

  #start(): Promise<UdpWorker> {
    return startUdpWorker({
      entry: new URL('./peer-link-thread.ts', import.meta.url),
      adapter: 'auto',
      loop: { receiveOffload: true },
      // peer-link-thread.ts posts it.
      onMessage: (message) => this.#take(message as FromLinks),
      onFailure: (error) => this.#fail(error),
    });
  }

  #take(message: FromLinks): void {
    const link = this.#links.get(message.link);
    if (message.kind === 'opened') link?.open(message.port);
    else if (message.kind === 'refused') link?.fail(message.error);
    else {
      if (message.from === this.#tunnelPort()) link?.receive(message.datagrams);
      this.#taken(message.datagrams.bytes.length);
    }
  }

  #taken(bytes: number): void {
    this.#takenBytes += bytes;
    if (this.#takenBytes < TAKEN_TOGETHER_BYTES) return;
    this.#running?.post({ kind: 'taken', bytes: this.#takenBytes } satisfies ToLinks);
    this.#takenBytes = 0;
  }

  #fail(error: Error): void {
    this.#worker = undefined;
    this.#running = undefined;
    this.#takenBytes = 0;
    for (const link of this.#links.values()) link.fail(error);
  }
}

/** A message of a link to its socket. */
type LinkMessage =
  | { readonly kind: 'close' }
  | { readonly kind: 'deliver'; readonly to: number; readonly datagrams: Datagrams };

/** What a link is attached to. */
interface LinkEnds {
  readonly tunnelPort: () => number;
  readonly post: (message: LinkMessage) => void;
  readonly forget: () => void;
}

class ThreadPeerLink implements PeerLink {
  readonly opened: Promise<void>;
  endpoint = '';
  readonly #events: PeerLinkEvents;
  readonly #ends: LinkEnds;
  readonly #opening = Promise.withResolvers<void>();
  #waiting: Uint8Array[] = [];
  #isOver = false;

  constructor(events: PeerLinkEvents, ends: LinkEnds) {
    this.#events = events;
    this.#ends = ends;
    this.opened = this.#opening.promise;
  }

  /** Its socket has this port. */
  open(port: number): void {
    this.endpoint = `127.0.0.1:${port}`;
    this.#opening.resolve();
  }

  /** Its socket is gone, or there was none. */
  fail(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ends.forget();
    if (this.endpoint === '') this.#opening.reject(error);
    else this.#events.onLost();
  }

  /** The tunnel sent datagrams to it. */
  receive({ bytes, lengths }: Datagrams): void {
    let offset = 0;
    for (const length of lengths) {
      this.#events.onDatagram(bytes.subarray(offset, offset + length));
      offset += length;
    }
  }

  deliver(datagram: Uint8Array): void {
    if (this.#isOver) return;
    // Everything that is read in one turn of the event loop goes together.
    if (this.#waiting.length === 0) setImmediate(() => this.#handOver());
    this.#waiting.push(datagram);
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ends.forget();
    this.#opening.reject(new Error('the link was closed'));
    this.#ends.post({ kind: 'close' });
  }

  #handOver(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const to = this.#ends.tunnelPort();
    if (this.#isOver || to === 0) return;
    const lengths = Uint32Array.from(waiting, ({ length }) => length);
    this.#ends.post({
      kind: 'deliver',
      to,
      datagrams: { bytes: Buffer.concat(waiting), lengths },
    });
  }
}
