/** STUN Binding requests (RFC 8489) from the agent's own sockets, and the answers to them. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '@nexodus/clock';
import { formatIpAddress, InvalidAddressError, parseIpAddress } from '@nexodus/netip';
import {
  BINDING_METHOD,
  decodeStunMessage,
  encodeStunMessage,
  type StunAttribute,
  StunFormatError,
  type StunMessage,
  type TransportAddress,
} from '@nexodus/stun-codec';
import type { DatagramPlace, PortSocket } from '../relay/port-socket.ts';
import type { Place } from './core/nat-verdict.ts';

/** From where an answer shall come instead (RFC 5780 section 7.2). */
export interface StunChange {
  readonly changesAddress: boolean;
  readonly changesPort: boolean;
}

/** What came back. */
export interface StunReply {
  /** `own`: the request itself, turned round on its way. */
  readonly kind: 'success' | 'refused' | 'own';
  readonly from: Place;
  /** As which the sender was seen. */
  readonly mapped: Place | undefined;
  /** The server's second address and port. */
  readonly other: Place | undefined;
  /** Since it was sent last. */
  readonly roundTripMs: number;
}

/** A request that may be repeated. Repetitions are one request: the first reply counts. */
export interface StunTransaction {
  send(): void;
  /** Waits for no reply any more. */
  forget(): void;
}

interface Pending {
  readonly onReply: (reply: StunReply) => void;
  sentAtMs: number;
}

/** Requests under way on one pair of sockets. */
export class StunExchange {
  readonly #socket: PortSocket;
  readonly #clock: Clock;
  readonly #pending = new Map<string, Pending>();
  readonly #leave: () => void;

  constructor(socket: PortSocket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    this.#leave = socket.listen((datagram, from) => this.#receive(datagram, from));
  }

  /** Makes a request; nothing is sent before `send`. `onReply` is called once at most. */
  begin(to: Place, onReply: (reply: StunReply) => void, change?: StunChange): StunTransaction {
    const transactionId = randomBytes(12);
    const key = transactionId.toString('hex');
    const attributes: StunAttribute[] =
      change === undefined ? [] : [{ kind: 'change-request', ...change }];
    const request = encodeStunMessage({
      class: 'request',
      method: BINDING_METHOD,
      transactionId,
      attributes,
      hasFingerprint: true,
    });
    return {
      send: () => {
        this.#pending.set(key, { onReply, sentAtMs: this.#clock.monotonicMs() });
        this.#socket.send(request, to);
      },
      forget: () => void this.#pending.delete(key),
    };
  }

  /** Leaves the sockets, which stay open. Idempotent. */
  close(): void {
    this.#leave();
    this.#pending.clear();
  }

  #receive(datagram: Uint8Array, from: DatagramPlace): void {
    const message = readMessage(datagram);
    if (message === undefined || message.method !== BINDING_METHOD) return;
    const kind = kindOf(message);
    const key = Buffer.from(message.transactionId).toString('hex');
    const pending = this.#pending.get(key);
    const source = readSource(from);
    if (kind === undefined || pending === undefined || source === undefined) return;
    this.#pending.delete(key);
    pending.onReply({
      kind,
      from: source,
      mapped: placeIn(message, ({ kind: is }) => is === 'xor-mapped-address'),
      other: placeIn(message, ({ kind: is }) => is === 'other-address'),
      roundTripMs: this.#clock.monotonicMs() - pending.sentAtMs,
    });
  }
}

function kindOf(message: StunMessage): StunReply['kind'] | undefined {
  switch (message.class) {
    case 'success':
      return message.attributes.some(({ kind }) => kind === 'xor-mapped-address')
        ? 'success'
        : undefined;
    case 'error':
      return 'refused';
    case 'request':
      return 'own';
    default:
      return undefined;
  }
}

function placeIn(
  { attributes }: StunMessage,
  isMeant: (attribute: StunAttribute) => boolean,
): Place | undefined {
  const attribute = attributes.find(isMeant);
  if (attribute?.kind === 'xor-mapped-address') return placeOf(attribute.mapped);
  return attribute?.kind === 'other-address' ? placeOf(attribute.other) : undefined;
}

function placeOf({ address, port }: TransportAddress): Place {
  return { address: formatIpAddress(address), port };
}

function readMessage(datagram: Uint8Array): StunMessage | undefined {
  try {
    return decodeStunMessage(datagram);
  } catch (error) {
    if (error instanceof StunFormatError) return undefined;
    throw error;
  }
}

function readSource({ address, port }: DatagramPlace): Place | undefined {
  try {
    return { address: formatIpAddress(parseIpAddress(address)), port };
  } catch (error) {
    // A link-local source carries its interface, and no server of ours is there.
    if (error instanceof InvalidAddressError) return undefined;
    throw error;
  }
}
