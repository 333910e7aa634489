/**
 * The thread that asks a STUN server as fast as it answers: a fixed number of requests is on its way, spread over several
 * sockets; what was answered is asked anew, as one aggregate for each batch of answers, so that asking costs the
 * kernel less than answering.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseIpAddress } from '@nexodus/netip';
import { encodeSocketAddress, SOCKET_ADDRESS_BYTES } from '@nexodus/socket-address';
import { BINDING_METHOD, encodeStunMessage } from '@nexodus/stun-codec';
import {
  type OutgoingDatagram,
  type ReceivedBatch,
  runUdpWorker,
  type UdpHandlers,
  type UdpLoop,
} from '@nexodus/udp-batch';

/** What the thread is started with. */
export interface LoadPlan {
  readonly address: string;
  readonly port: number;
  /** Sockets to ask from. */
  readonly sockets: number;
  /** Requests on their way from each. */
  readonly window: number;
  /** Process of the server. */
  readonly serverPid: number;
}

/** What the thread tells when it is asked anything. */
export interface LoadCount {
  /** Success answers so far. */
  readonly answers: number;
  /** Other datagrams. */
  readonly strange: number;
  /** When, on the clock of `process.hrtime`, in milliseconds. */
  readonly atMs: number;
  /** Processor time of this thread so far. */
  readonly loadCpuSeconds: number;
  /** Processor time of the server's process so far, its system calls included. */
  readonly serverCpuSeconds: number;
}

/** Type of a success answer (RFC 8489 section 5). */
const SUCCESS_TYPE = 0x0101;
/** Without an answer for so long, what was on its way counts as lost. */
const LOST_AFTER_MS = 50;
/** USER_HZ: Linux reports times to user space in hundredths of a second on all machines it runs on here. */
const TICKS_PER_SECOND = 100;

class Load implements UdpHandlers {
  readonly #loop: UdpLoop;
  readonly #plan: LoadPlan;
  readonly #requests: Uint8Array;
  readonly #requestBytes: number;
  readonly #outgoing: OutgoingDatagram;
  readonly #onTheWay = new Map<number, number>();
  #answers = 0;
  #strange = 0;
  #answersAtDeadline = -1;

  constructor(loop: UdpLoop, plan: LoadPlan) {
    this.#loop = loop;
    this.#plan = plan;
    const requests = Array.from({ length: plan.window }, bindingRequest);
    this.#requestBytes = requests[0]?.length ?? 0;
    this.#requests = Buffer.concat(requests);
    const to = new Uint8Array(SOCKET_ADDRESS_BYTES);
    encodeSocketAddress(to, 0, { address: parseIpAddress(plan.address), port: plan.port });
    this.#outgoing = {
      socket: -1,
      to,
      toOffset: 0,
      bytes: this.#requests,
      offset: 0,
      length: 0,
      segmentBytes: this.#requestBytes,
    };
    for (let index = 0; index < plan.sockets; index += 1) this.#open();
    loop.wakeAt(loop.nowMs() + LOST_AFTER_MS);
  }

  onBatch({ socket, count, view, offsets }: ReceivedBatch): void {
    for (let index = 0; index < count; index += 1) {
      if (view.getUint16(offsets[index] ?? 0) === SUCCESS_TYPE) this.#answers += 1;
      else this.#strange += 1;
    }
    this.#ask(socket, Math.max((this.#onTheWay.get(socket) ?? 0) - count, 0));
  }

  onMessage(): void {
    const { user, system } = process.threadCpuUsage();
    this.#loop.post({
      answers: this.#answers,
      strange: this.#strange,
      atMs: Number(process.hrtime.bigint()) / 1e6,
      loadCpuSeconds: (user + system) / 1e6,
      serverCpuSeconds: cpuSecondsOf(this.#plan.serverPid),
    } satisfies LoadCount);
  }

  onDeadline(nowMs: number): void {
    this.#loop.wakeAt(nowMs + LOST_AFTER_MS);
    if (this.#answers === this.#answersAtDeadline) {
      for (const socket of this.#onTheWay.keys()) this.#ask(socket, 0);
    }
    this.#answersAtDeadline = this.#answers;
  }

  #open(): void {
    const options = { address: this.#plan.address, port: 0, receiveBufferBytes: 4_000_000 };
    this.#loop.open(options, (result) => {
      if ('error' in result) throw result.error;
      this.#ask(result.socket, 0);
    });
  }

  /** Fills the window of a socket of which so many requests are on their way. */
  #ask(socket: number, onTheWay: number): void {
    this.#onTheWay.set(socket, this.#plan.window);
    this.#outgoing.socket = socket;
    this.#outgoing.length = (this.#plan.window - onTheWay) * this.#requestBytes;
    if (this.#outgoing.length > 0) this.#loop.send(this.#outgoing);
  }
}

/** proc_pid_stat(5): utime and stime are the 14th and 15th field; the 2nd may contain blanks and ends with ")". */
function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function bindingRequest(): Uint8Array {
  return encodeStunMessage({
    class: 'request',
    method: BINDING_METHOD,
    transactionId: Uint8Array.from(randomBytes(12)),
    attributes: [],
    hasFingerprint: false,
  });
}

// load.ts passes the plan.
await runUdpWorker((loop, data) => new Load(loop, data as LoadPlan));
